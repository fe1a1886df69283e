"""How a payload is taken apart, and what came too late. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import msgspec
from msgspec import Struct

from models.wire.events import Event, PassScanned, Unreadable, ZoneBreached, open_envelope, read, split
from models.wire.topics import Box

_MOST_THINNED = 1_000_000
_TIME = b'"time":"'
_NEWS = timedelta(seconds=10)
_MAX_NAME = 128
"""Longer names of cameras, zones and incidents come from no box of ours, and no index takes them without end."""


class _Marks(Struct):
    """The least that must be readable for an element to be receipted."""

    epoch: str
    sequence: str


@dataclass(frozen=True)
class Letter:
    """What cannot be used, kept so that somebody can find out why."""

    topic: str
    payload: bytes
    reason: str
    epoch: str | None = None
    sequence: int | None = None

    @property
    def word(self) -> str:
        """The reason as a receipt says it: envelope, type, data, …"""
        return self.reason.partition(":")[0]


@dataclass(frozen=True)
class Element:
    """An event and the bytes that it came as."""

    event: Event
    raw: bytes
    data: str


def take_apart(topic: str, box: Box, payload: bytes) -> Iterator[Element | Letter]:
    """Every element of a message, usable or not."""
    try:
        parts = split(payload)
    except Unreadable as error:
        yield Letter(topic, payload, f"batch: {error}")
        return
    for raw in parts:
        try:
            yield _element(box, raw)
        except Unreadable as error:
            epoch, sequence = _marks(raw)
            yield Letter(topic, raw, str(error), epoch, sequence)


def _element(box: Box, raw: bytes) -> Element:
    if b"\\u0000" in raw:
        raise Unreadable("data: a NUL character, which PostgreSQL cannot keep")
    envelope = open_envelope(raw)
    event = read(envelope)
    if (event.site, event.edge) != box:
        raise Unreadable("source: another box than the topic's")
    if not 1970 <= event.time.year <= 9000:
        raise Unreadable("time: a year that no clock of ours shows")
    names = [event.camera, *(getattr(event.data, name, "") for name in ("zone", "incident", "camera"))]
    if any(len(name) > _MAX_NAME for name in names):
        raise Unreadable(f"data: a name longer than {_MAX_NAME} characters")
    return Element(event, raw, bytes(envelope.data).decode())


def _marks(raw: bytes) -> tuple[str | None, int | None]:
    try:
        marks = msgspec.json.decode(raw, type=_Marks)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, None
    if not (marks.sequence.isascii() and marks.sequence.isdigit() and len(marks.sequence) <= 18 and marks.epoch):
        return None, None
    return marks.epoch[:32], int(marks.sequence)


def is_news(payload: bytes, now: datetime) -> bool:
    """Whether a batch's last event happened just now. A glance only: it decides what is taken first, nothing else."""
    at = payload.rfind(_TIME)
    try:
        moment = datetime.fromisoformat(payload[at + len(_TIME) :].partition(b'"')[0].decode())
        return abs(now - moment) < _NEWS
    except (ValueError, TypeError):
        return False


def numbers(told: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The sequences of ranges; no more than a box can have left out, whatever a stranger writes."""
    return islice((number for first, last in told for number in range(first, last + 1)), _MOST_THINNED)


def is_late(event: Event, received_at: datetime, *, pass_seconds: float, breach_seconds: float) -> bool:
    """Older than news of its kind may be. What has no such limit is never late."""
    limit = {PassScanned: pass_seconds, ZoneBreached: breach_seconds}.get(type(event.data))
    return limit is not None and (received_at - event.time).total_seconds() > limit
