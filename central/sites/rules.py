"""Which camera is really looked through. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

from msgspec import UNSET

from models.wire.events import Machine
from models.wire.topics import Box

_CHUNK = 4096
"""Sequences whose bits stand in one row: 512 bytes."""
_NAMED_GAPS = 20
_MOST_CHUNKS = 64
FULL = b"\xff" * (_CHUNK // 8)
"""The bits of a chunk of which all has come."""
_CAME = re.compile("1+")

_SKEW_S = 2.0
_BUSY = 1.5
_FULL_SHARE = 0.9
_HOT_C = 85.0

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
    picture_at: datetime | None = None
    """When its newest picture was taken, on our clock."""
    unseen_minutes: int = 0
    """Of the last hour, rounded up: what nobody vouches for is no calm."""


@dataclass(frozen=True, kw_only=True)
class ClockStep:
    """A box's clock was set. It is no time that was seen or not seen, so it is told for itself."""

    site: str
    edge: str
    at: datetime
    seconds: float


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
    machine: Machine | None = None

    @property
    def online(self) -> bool:
        return self.state == "online"

    @property
    def celsius(self) -> float | None:
        """None: it has no sensor, or has not told."""
        return None if self.machine is None or self.machine.celsius is UNSET else self.machine.celsius

    @property
    def wants(self) -> tuple[str, ...]:
        """What somebody has to see to, by the catalogue's words; the box works, but not for long."""
        skewed = self.skew is not None and abs(self.skew) > _SKEW_S
        if self.machine is None:
            return ("clock",) if skewed else ()
        told = {
            "clock": skewed,
            "load": self.machine.load > _BUSY,
            "memory": self.machine.memory > _FULL_SHARE,
            "disk": self.machine.disk > _FULL_SHARE,
            "hot": self.celsius is not None and self.celsius > _HOT_C,
        }
        return tuple(name for name, true in told.items() if true)


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
            chunk = found.setdefault((name, one.epoch, number), Chunk(bits=int(number == 0)))  # there is no sequence 0
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


@dataclass(frozen=True)
class Seen:
    """One row of what has come of an outbox: the bits of one chunk, or with `whole` so many chunks of which all has."""

    chunk: int
    bits: bytes
    whole: int = 0
    repeated: int = 0

    @property
    def runs(self) -> list[tuple[int, int]]:
        """What has come, as ranges, ends included."""
        first = self.chunk * _CHUNK
        if self.whole:
            return [(max(first, 1), first + self.whole * _CHUNK - 1)]
        bits = int.from_bytes(self.bits, "little") & (-2 if self.chunk == 0 else -1)  # there is no sequence 0
        told = bin(bits)[:1:-1]
        return [(first + run.start(), first + run.end() - 1) for run in _CAME.finditer(told)]

    @property
    def all_came(self) -> bool:
        return self.whole > 0 or self.bits == FULL


def folded(rows: Sequence[Seen]) -> list[Seen]:
    """The same in fewer rows: chunks of which all has come, side by side, are one row. Ascending by chunk."""
    kept: list[Seen] = []
    for row in rows:
        last = kept[-1] if kept else None
        end = last.chunk + last.whole if last is not None else 0
        if last is not None and last.whole and row.chunk < end and (row.whole == 0 or row.chunk + row.whole <= end):
            kept[-1] = replace(last, repeated=last.repeated + row.repeated)
        elif not row.all_came:
            kept.append(row)
        elif last is not None and last.whole and row.chunk <= end:
            until = row.chunk + (row.whole or 1)
            kept[-1] = replace(last, whole=until - last.chunk, repeated=last.repeated + row.repeated)
        else:
            kept.append(Seen(row.chunk, b"", row.whole or 1, row.repeated))
    return kept


def came_of(asked: Sequence[tuple[int, int]], held: Iterable[Seen]) -> tuple[tuple[int, int], ...]:
    """Of the ranges, the parts that have come."""
    return tuple(
        (max(first, low), min(last, high))
        for row in held
        for first, last in row.runs
        for low, high in asked
        if low <= last and first <= high
    )


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


def gap(box: str, epoch: str, rows: Sequence[Seen]) -> Gap:
    """Rows ascend. What lies before the first kept row is not waited for any more."""
    holes: list[tuple[int, int]] = []
    expected = max(rows[0].chunk * _CHUNK, 1)
    for row in rows:
        for first, last in row.runs:
            if first > expected:
                holes.append((expected, first - 1))
            expected = max(expected, last + 1)
    return Gap(
        box=box,
        epoch=epoch,
        last=expected - 1,
        missing=sum(end - start + 1 for start, end in holes),
        repeated=sum(row.repeated for row in rows),
        ranges=tuple(holes[:_NAMED_GAPS]),
    )


# Coverage: what was seen, told by heartbeats. Conservative: nothing counts as seen that a box has not vouched for.

Seeing = Literal["seen", "blind", "stalled"]
STEP_SECONDS = 2.0
"""A box's clock that moves by more than this against ours was set."""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One word of a box about one camera, on central's clock."""

    kind: Seeing | None
    """None: the box itself does not know."""
    began: datetime
    """Since when the camera is in this state, by the box's own record."""
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Span:
    kind: Seeing
    started: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of one camera over a time; the four parts are the whole, to the microsecond."""

    seen: timedelta
    blind: timedelta
    stalled: timedelta
    unknown: timedelta


def seeing(state: str, mode: str) -> Seeing | None:
    """What a camera's state is worth. In maintenance nobody looks, however good the picture is."""
    if state == "unknown":
        return None
    if state in WATCHING:
        return "blind" if mode == "maintenance" else "seen"
    return "blind" if state in {"blind", "disabled"} else "stalled"


def beat(last: Span | None, told: Beat) -> Span | None:
    """The span that this word makes or makes longer: one that begins where `last` does takes its place."""
    if told.kind is None or (last is not None and told.at <= last.until):
        return None
    unbroken = last is not None and last.kind == told.kind and told.began <= last.until
    if last is not None and unbroken:
        return replace(last, until=told.at)
    # The state's own beginning may lie behind words that were lost on the way; never before what is known already.
    started = told.began if last is None else max(told.began, last.until)
    started = max(started, told.at - timedelta(days=1))
    return Span(kind=told.kind, started=min(started, told.at), until=told.at)


def coverage(spans: Iterable[Span], since: datetime, until: datetime) -> Coverage:
    """The parts of the time from `since` to `until`; where spans overlap, the earlier one counts."""
    parts: dict[str, timedelta] = dict.fromkeys(("seen", "blind", "stalled"), timedelta())
    told_until = since
    for span in sorted(spans, key=lambda span: (span.started, span.until)):
        start, end = max(span.started, told_until), min(span.until, until)
        if end > start:
            parts[span.kind] += end - start
            told_until = end
    return Coverage(**parts, unknown=max(until - since, timedelta()) - sum(parts.values(), timedelta()))
