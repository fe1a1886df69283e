"""Which camera is really looked through. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from models.wire.topics import Box

_CHUNK = 4096
"""Sequences whose bits stand in one row: 512 bytes."""
_NAMED_GAPS = 20
_MOST_CHUNKS = 64
_HOLES = re.compile("0+")
_CAME = re.compile("1+")

WATCHING = frozenset({"live"})
"""The states of a camera in which its picture is looked at."""


@dataclass(frozen=True, kw_only=True)
class CameraRow:
    site: str
    edge: str
    camera: str
    state: str
    reason: str
    watch: str
    mode: str
    at: datetime
    seen: bool
    """False whenever we cannot vouch for it: its box is offline, or it is not live."""


@dataclass(frozen=True, kw_only=True)
class EdgeRow:
    site: str
    edge: str
    boot: str
    state: str
    at: datetime
    skew: float | None
    waiting: int | None
    version: str | None

    @property
    def online(self) -> bool:
        return self.state == "online"


def seen(camera_state: str, edge_state: str | None) -> bool:
    """A camera counts as watched only when its box says so and is there to say it."""
    return edge_state == "online" and camera_state in WATCHING


def outdated(state: str, boot: str, known_boot: str | None) -> bool:
    """A last will of an earlier boot that arrives after the new birth says nothing of today."""
    return state == "offline" and known_boot is not None and boot != known_boot


@dataclass(frozen=True)
class Came:
    """What came of one outbox in one transaction; `repeated` are those of `sequences` that were there already."""

    box: Box
    epoch: str
    sequences: frozenset[int]
    repeated: frozenset[int] = frozenset()


@dataclass
class Chunk:
    bits: int = 0
    repeated: int = 0


def chunks(came: Iterable[Came]) -> Mapping[tuple[str, str, int], Chunk]:
    """By (box, epoch, number of the chunk)."""
    found: dict[tuple[str, str, int], Chunk] = {}
    for one in came:
        name = f"{one.box.site}/{one.box.edge}"
        for sequence in one.sequences:
            number, bit = divmod(sequence, _CHUNK)
            chunk = found.setdefault((name, one.epoch, number), Chunk())
            chunk.bits |= 1 << bit
            chunk.repeated += sequence in one.repeated
    return found


def joined(bits: bytes, more: int) -> bytes:
    both = int.from_bytes(bits, "little") | more
    return both.to_bytes((both.bit_length() + 7) // 8, "little")


def chunks_of(asked: Iterable[tuple[int, int]]) -> list[int]:
    """The newest chunks that these ranges touch."""
    bounds = sorted(((first // _CHUNK, last // _CHUNK) for first, last in asked), reverse=True)
    numbers = (number for first, last in bounds for number in range(last, max(first, last - _MOST_CHUNKS) - 1, -1))
    return sorted(set(islice(numbers, _MOST_CHUNKS)))


def came_of(asked: Sequence[tuple[int, int]], held: Mapping[int, bytes]) -> tuple[tuple[int, int], ...]:
    """Of the ranges, the parts whose bits are set; `held` is chunk -> bits."""
    found: list[tuple[int, int]] = []
    for number in sorted(held):
        told = bin(int.from_bytes(held[number], "little"))[:1:-1]
        for run in _CAME.finditer(told):
            first, last = number * _CHUNK + run.start(), number * _CHUNK + run.end() - 1
            found += [(max(first, low), min(last, high)) for low, high in asked if low <= last and first <= high]
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What one outbox has told and what it has not. Sequences count from 1."""

    box: str
    epoch: str
    last: int
    missing: int
    repeated: int
    ranges: tuple[tuple[int, int], ...] = field(default=())
    """The first of the missing ones, ends included."""


def gap(box: str, epoch: str, rows: Sequence[tuple[int, bytes, int]]) -> Gap:
    """Rows are (chunk, bits, repeated), ascending. What lies before the first kept row was whole when it was purged."""
    holes: list[tuple[int, int]] = []
    expected = rows[0][0] * _CHUNK
    for number, raw, _ in rows:
        first = number * _CHUNK
        told = bin(int.from_bytes(raw, "little") | (number == 0))[:1:-1]  # there is no sequence 0
        if first > expected:
            holes.append((expected, first - 1))
        holes += ((first + hole.start(), first + hole.end() - 1) for hole in _HOLES.finditer(told))
        expected = first + len(told)
    return Gap(
        box=box,
        epoch=epoch,
        last=expected - 1,
        missing=sum(end - start + 1 for start, end in holes),
        repeated=sum(repeated for *_, repeated in rows),
        ranges=tuple(holes[:_NAMED_GAPS]),
    )
