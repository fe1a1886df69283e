"""Residents as a gate carries them: keys of their numbers, and behind each key what a decision may read.

    header (JSON, padded) | keys, sorted (8 bytes) | row of each key (12 bytes) | offsets of profiles | profiles

A key is a keyed hash of a number; a row is a check of name and year of birth, the moment of the declaration, and the
profile: the lines that many residents have alike. So a key costs 20 bytes, and the profiles almost nothing.
"""

import hashlib
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec import Struct

from models.passes.facts import VOCABULARY, Written, parse

_MAGIC = b"CUAO-P1\0"
_HEAD = struct.Struct("<8sQ")
_SORTED = struct.Struct(">QIII")
"""Big-endian: as bytes it sorts like the key."""
_BUCKETS = 256
_SHARED = 1_000_000
"""Profiles remembered while packing, to be shared; beyond that the memory would cost more than they."""
_MOMENT = "declared_at"
"""The one moment that nearly everybody has, each his own: it stands in the row, so that profiles can be shared."""
_YEARS_FROM = 1850
_TAG_BITS = 22
_TYPES = {name: getattr(kind.type, "__origin__", kind.type) for name, kind in VOCABULARY.items()}
_DAYS = {name for name, told in _TYPES.items() if told is date}
_TELLS_WHEN = _DAYS | {name for name, told in _TYPES.items() if told is datetime}
_decoder = msgspec.msgpack.Decoder(list[list[Any]])


class BadPack(ValueError):
    """Bytes that are no packed residents of this release."""


class Person(NamedTuple):
    """One resident, to be packed."""

    keys: Sequence[int]
    name_key: str
    birth: str
    """ISO date or its year; empty when unknown."""
    history: Sequence[Written]


class Carried(NamedTuple):
    """One resident, as the gate finds him."""

    name_tag: int
    birth_year: int | None
    history: tuple[Written, ...]


class Header(Struct, frozen=True, kw_only=True):
    kinds: tuple[str, ...]
    """The facts that were packed. What is not among them is not absent, but unknown."""
    built_at: datetime
    complete: bool
    """All residents: whoever is not in it is in no registry."""
    keys: int
    profiles: int
    twice: int = 0
    """Keys that more than one resident claimed: left out, so that nobody passes as another."""


def key_of(secret: bytes, kind: str, value: str) -> int:
    """The name of a number in a snapshot; whoever has the secret can try numbers, so it is kept in RAM only."""
    return int.from_bytes(hashlib.blake2b(f"{kind}|{value}".encode(), key=secret, digest_size=8).digest(), "big")


def name_tag(name_key: str) -> int:
    """Enough of a name to see that another one stands on the code."""
    return zlib.crc32(name_key.encode()) >> (32 - _TAG_BITS)


class Packer:
    """`add` everybody, then `write` once. Only facts of `kinds` go along."""

    def __init__(self, kinds: Sequence[str], *, built_at: datetime, complete: bool) -> None:
        self._codes = {kind: code for code, kind in enumerate(kinds)}
        self._built_at = built_at
        self._complete = complete
        self._buckets = [bytearray() for _ in range(_BUCKETS)]
        self._profiles = bytearray()
        self._offsets = array("I", [0])
        self._shared: dict[bytes, int] = {}

    def add(self, person: Person) -> None:
        moment, lines = _lines(person.history, self._codes, self._built_at)
        profile = msgspec.msgpack.encode(lines)
        number = self._shared.get(profile)
        if number is None:
            number = len(self._offsets) - 1
            self._profiles += profile
            self._offsets.append(len(self._profiles))
            if len(self._shared) < _SHARED:
                self._shared[profile] = number
        year = int(person.birth[:4]) - _YEARS_FROM + 1 if person.birth else 0
        check = name_tag(person.name_key) | year << _TAG_BITS
        for key in person.keys:
            self._buckets[key >> 56] += _SORTED.pack(key, check, moment, number)

    def write(self, sink: BinaryIO) -> Header:
        keys, rows, twice = _sorted(self._buckets)
        header = Header(
            kinds=tuple(self._codes),
            built_at=self._built_at,
            complete=self._complete,
            keys=len(keys),
            profiles=len(self._offsets) - 1,
            twice=twice,
        )
        text = msgspec.json.encode(header)
        text += b" " * (-len(text) % 8)
        sink.write(_HEAD.pack(_MAGIC, len(text)) + text)
        sink.writelines(memoryview(part).cast("B") for part in (keys, rows, self._offsets))
        sink.write(self._profiles)
        return header


def _sorted(buckets: list[bytearray]) -> tuple["array[int]", "array[int]", int]:
    keys, rows, twice = array("Q"), array("I"), 0
    for number, bucket in enumerate(buckets):
        packed = bytes(bucket)
        buckets[number] = bytearray()
        ordered = sorted([packed[start : start + _SORTED.size] for start in range(0, len(packed), _SORTED.size)])
        for key, claims in groupby(map(_SORTED.unpack, ordered), itemgetter(0)):
            (_, *row), *others = claims
            if others:
                twice += 1
                continue
            keys.append(key)
            rows.extend(row)
    return keys, rows, twice


def _lines(history: Sequence[Written], codes: Mapping[str, int], built_at: datetime) -> tuple[int, list[list[Any]]]:
    """The declaration's moment, or 0, and every line that can still count, without what it need not say."""
    begun = {line.id for line in history if line.from_ is None or line.from_ <= built_at}
    gone = {line.supersedes for line in history if line.id in begun}
    kept = [
        line
        for line in history
        if line.kind in codes
        and line.id not in gone
        # what has ended counts no more, unless its beginning will still end another
        and (line.until is None or built_at < line.until or line.id not in begun)
    ]
    place = {line.id: number for number, line in enumerate(kept)}
    linked = {line.supersedes for line in kept} & place.keys()
    moment = 0
    lines: list[list[Any]] = []
    for line in kept:
        value, since = line.value, line.from_
        if line.kind in _TELLS_WHEN and value is not None:
            value = _to_int(parse(line.kind, value))
            if since and since <= built_at:
                since = None  # what it tells of gives its age
        over = place.get(line.supersedes) if line.supersedes is not None else None
        if (line.kind, since, line.until, over) == (_MOMENT, None, None, None) and line.id not in linked and value:
            # of several such the last one counts: the earlier lines need not be said
            lines = [cells for cells in lines if cells != [codes[_MOMENT], True]]
            moment, value = value, True
        cells = [codes[line.kind], value, _seconds(since), _seconds(line.until), over]
        while cells[-1] is None and len(cells) > 2:
            cells.pop()
        lines.append(cells)
    return moment, lines


def _to_int(value: Any) -> int:
    return int(value.timestamp()) if isinstance(value, datetime) else int(value.toordinal())


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class Packed:
    """Packed residents in memory, looked up in a few microseconds. Raises BadPack for anything else."""

    def __init__(self, data: bytes | bytearray) -> None:
        whole = memoryview(data)
        try:
            magic, length = _HEAD.unpack_from(whole)
            if magic != _MAGIC or sys.byteorder != "little":
                raise BadPack("not packed by this release; build the snapshot again")
            start = _HEAD.size + length
            self.header = msgspec.json.decode(whole[_HEAD.size : start], type=Header)
            ends = [start]
            for size in (8 * self.header.keys, 12 * self.header.keys, 4 * (self.header.profiles + 1)):
                ends.append(ends[-1] + size)
            self._keys = whole[ends[0] : ends[1]].cast("Q")
            self._rows = whole[ends[1] : ends[2]].cast("I")
            self._offsets = whole[ends[2] : ends[3]].cast("I")
            self._profiles = whole[ends[3] :]
            if self._offsets[-1] != len(self._profiles):
                raise BadPack("cut off; fetch it again")
        except (struct.error, msgspec.MsgspecError, UnicodeDecodeError, TypeError, IndexError) as error:
            raise BadPack(f"not packed residents: {type(error).__name__}; fetch it again") from error
        # some sixteen keys to a bucket, and no more than a million buckets
        bits = min(max(len(self._keys).bit_length() - 4, 0), 20)
        self._shift = 64 - bits
        self._starts = self._directory(1 << bits)

    def __len__(self) -> int:
        return len(self._keys)

    def _directory(self, buckets: int) -> "array[int]":
        """Where the keys with each first bits begin: keys are hashes, so these are few and equally many."""
        starts, start = array("I"), 0
        for first in range(buckets):
            start = bisect_left(self._keys, first << self._shift, start)
            starts.append(start)
        starts.append(len(self._keys))
        return starts

    def find(self, key: int) -> int | None:
        """The row of a key."""
        first, keys = key >> self._shift, self._keys
        high = self._starts[first + 1]
        row = bisect_left(keys, key, self._starts[first], high)
        return row if row < high and keys[row] == key else None

    def read(self, row: int) -> Carried:
        check, moment, profile = self._rows[3 * row : 3 * row + 3]
        lines = _decoder.decode(self._profiles[self._offsets[profile] : self._offsets[profile + 1]])
        year = check >> _TAG_BITS
        return Carried(
            name_tag=check & ((1 << _TAG_BITS) - 1),
            birth_year=year - 1 + _YEARS_FROM if year else None,
            history=tuple(self._written(number, cells, moment) for number, cells in enumerate(lines)),
        )

    def _written(self, number: int, cells: list[Any], declared: int) -> Written:
        code, value, since, until, over = (*cells, None, None, None)[:5]
        kind, built_at = self.header.kinds[code], self.header.built_at
        if kind in _TELLS_WHEN and value is not None:
            seconds = declared if value is True else value
            told = date.fromordinal(value) if kind in _DAYS else datetime.fromtimestamp(seconds, UTC)
            value = told.isoformat()
        return Written(number, kind, value, _moment(since), _moment(until), built_at, "snapshot", over)
