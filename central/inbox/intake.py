"""Messages in, rows out: one transaction, new ids only, then what must be answered. A plain function of its input."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from msgspec import UNSET
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.crowd import service as crowd
from central.inbox import rules
from central.inbox.rules import Element, Letter
from central.inbox.tables import dead_letter, event
from central.keys import Keys
from central.live import ALERTS, HEALTH, STREETS
from central.passes import service as passes
from central.quarantine import service as quarantine
from central.sites import service as sites
from models.passes.policy import Policy
from models.wire.events import (
    CameraStatus,
    CrowdLevel,
    CrowdMeasured,
    Data,
    EdgeState,
    PassScanned,
    PassShown,
    Receipt,
    Unreadable,
    Verdict,
    ZoneBreached,
    from_json,
)
from models.wire.topics import Box, box_of

_log = logging.getLogger(__name__)
_CHUNK = 500
_KEPT_BYTES = 65_536
"""Of a dead letter: enough to see what it was."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the inbox decides with."""

    engine: AsyncEngine
    keys: Keys = field(repr=False)
    policy: Policy
    pass_fresh_seconds: float = 2.0
    breach_fresh_seconds: float = 300.0


@dataclass(frozen=True)
class Message:
    """One MQTT message. `retained`: the broker had kept it."""

    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True)
class Taken:
    """What is committed, and so may be said."""

    receipts: tuple[tuple[Box, Receipt], ...] = ()
    verdicts: tuple[tuple[Box, Verdict], ...] = ()
    touched: frozenset[str] = frozenset()
    new: int = 0
    known: int = 0
    dead: int = 0


@dataclass
class _Round:
    """One transaction's work."""

    desk: Desk
    connection: AsyncConnection
    now: datetime
    verdicts: list[tuple[Box, Verdict]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    def is_late(self, element: Element) -> bool:
        return rules.is_late(
            element.event,
            self.now,
            pass_seconds=self.desk.pass_fresh_seconds,
            breach_seconds=self.desk.breach_fresh_seconds,
        )


async def _scanned(work: _Round, element: Element, data: PassScanned) -> None:
    verdict = await passes.record(
        work.connection,
        work.desk.keys,
        work.desk.policy,
        element.event,
        data,
        now=work.now,
        late=work.is_late(element),
    )
    if verdict is not None:
        work.verdicts.append((Box(element.event.site, element.event.edge), verdict))


async def _shown(work: _Round, element: Element, data: PassShown) -> None:
    if await passes.record_shown(work.connection, element.event, data):
        work.touched.add(ALERTS)


async def _breached(work: _Round, element: Element, data: ZoneBreached) -> None:
    await quarantine.record(work.connection, element.event, data, late=work.is_late(element))
    work.touched.add(ALERTS)


async def _level(work: _Round, element: Element, data: CrowdLevel) -> None:
    await crowd.record_level(work.connection, element.event, data)
    work.touched.add(STREETS)


async def _measured(work: _Round, element: Element, data: CrowdMeasured) -> None:
    await crowd.record_measure(work.connection, element.event, data)
    work.touched.add(STREETS)


async def _status(work: _Round, element: Element, data: CameraStatus) -> None:
    await sites.record_status(work.connection, element.event, data)
    work.touched |= {HEALTH, ALERTS, STREETS}


Apply = Callable[[_Round, Element, Any], Awaitable[None]]

APPLY: Mapping[type[Data], Apply] = MappingProxyType(
    {
        PassScanned: _scanned,
        PassShown: _shown,
        ZoneBreached: _breached,
        CrowdLevel: _level,
        CrowdMeasured: _measured,
        CameraStatus: _status,
    }
)
"""What a new event causes; a type that is not here is kept and causes nothing."""


def _row(work: _Round, element: Element) -> dict[str, Any]:
    told = element.event
    return {
        "id": told.id,
        "type": told.type,
        "site": told.site,
        "edge": told.edge,
        "camera": told.camera,
        "time": told.time,
        "received_at": work.now,
        "clock": told.clock,
        "epoch": told.epoch,
        "sequence": told.sequence,
        "late": work.is_late(element),
        "dataref": told.dataref,
        "data": element.data,
    }


def _letter_row(letter: Letter, now: datetime) -> dict[str, Any]:
    return {
        "digest": hashlib.sha256(letter.topic.encode() + b"\0" + letter.payload).digest(),
        "topic": letter.topic[:200].replace("\0", ""),
        "payload": letter.payload[:_KEPT_BYTES],
        "reason": letter.reason[:500].replace("\0", ""),
        "received_at": now,
    }


def _read(messages: Sequence[Message]) -> Iterator[tuple[Box, Element | Letter]]:
    for message in messages:
        box = box_of(message.topic)
        for part in rules.take_apart(message.topic, box, message.payload):
            yield box, part


def _receipts(parts: Sequence[tuple[Box, Element | Letter]]) -> tuple[tuple[Box, Receipt], ...]:
    done: dict[tuple[Box, str], set[int]] = defaultdict(set)
    rejected: dict[tuple[Box, str], dict[int, str]] = defaultdict(dict)
    for box, part in parts:
        if isinstance(part, Element):
            done[box, part.event.epoch].add(part.event.sequence)
        elif part.epoch is not None and part.sequence is not None:
            # Rejected is committed too, as a dead letter: the edge may forget it.
            done[box, part.epoch].add(part.sequence)
            rejected[box, part.epoch][part.sequence] = part.word
    return tuple(
        (
            box,
            Receipt(
                epoch=epoch,
                ranges=rules.ranges(sequences),
                rejected=tuple(sorted(rejected[box, epoch].items())) if rejected[box, epoch] else UNSET,
            ),
        )
        for (box, epoch), sequences in done.items()
    )


async def _commit(desk: Desk, parts: Sequence[tuple[Box, Element | Letter]], now: datetime) -> Taken:
    elements = {part.event.id: part for _, part in reversed(parts) if isinstance(part, Element)}
    letters = [part for _, part in parts if isinstance(part, Letter)]
    async with db.writing(desk.engine) as connection:
        work = _Round(desk, connection, now)
        rows = [_row(work, element) for element in elements.values()]
        new: set[str] = set()
        for start in range(0, len(rows), _CHUNK):
            new |= await db.insert_new(connection, event, "id", rows[start : start + _CHUNK])
        # One order on every replica, so that two of them never wait for each other's rows.
        for element in sorted(
            (elements[id_] for id_ in new), key=lambda e: (e.event.edge, e.event.epoch, e.event.sequence)
        ):
            apply = APPLY.get(type(element.event.data))
            if apply is not None:
                await apply(work, element, element.event.data)
        dead = await db.insert_new(connection, dead_letter, "digest", [_letter_row(letter, now) for letter in letters])
    if dead:
        _log.warning("%d dead letters: %s", len(dead), "; ".join(sorted({f"{x.topic}: {x.word}" for x in letters})))
    return Taken(
        receipts=_receipts(parts),
        verdicts=tuple(work.verdicts),
        touched=frozenset(work.touched),
        new=len(new),
        known=len(elements) - len(new),
        dead=len(dead),
    )


async def take(desk: Desk, messages: Sequence[Message], now: datetime) -> Taken:
    """Messages of `event` topics, committed together. Raises OperationalError, InterfaceError or OSError while the
    database is away: nothing is committed then, and the caller comes again. A message that the database itself refuses
    becomes a dead letter, and the others are committed without it.
    """
    parts = list(_read(messages))
    refused = await _attempt(desk, parts, now)
    if isinstance(refused, Taken):
        return refused
    return _joined([await _alone(desk, part, now) for part in parts])


async def _attempt(desk: Desk, parts: Sequence[tuple[Box, Element | Letter]], now: datetime) -> Taken | DBAPIError:
    """Commit, or the error with which the database refuses what it was given."""
    try:
        return await _commit(desk, parts, now)
    except (OperationalError, InterfaceError):
        raise
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return error


async def _alone(desk: Desk, part: tuple[Box, Element | Letter], now: datetime) -> Taken:
    taken = await _attempt(desk, [part], now)
    return taken if isinstance(taken, Taken) else await _bury(desk, [part], taken, now)


async def _bury(desk: Desk, parts: Sequence[tuple[Box, Element | Letter]], error: DBAPIError, now: datetime) -> Taken:
    """Keep what the database refuses as a dead letter; the driver's message may repeat values, so only its kind."""
    reason = f"database: {type(error.orig).__name__}"
    letters: list[tuple[Box, Element | Letter]] = [
        (
            box,
            Letter(box.event, part.raw, reason, part.event.epoch, part.event.sequence)
            if isinstance(part, Element)
            else part,
        )
        for box, part in parts
    ]
    return await _commit(desk, letters, now)


def _joined(taken: Sequence[Taken]) -> Taken:
    return Taken(
        receipts=tuple(receipt for one in taken for receipt in one.receipts),
        verdicts=tuple(verdict for one in taken for verdict in one.verdicts),
        touched=frozenset().union(*(one.touched for one in taken)),
        new=sum(one.new for one in taken),
        known=sum(one.known for one in taken),
        dead=sum(one.dead for one in taken),
    )


async def take_state(engine: AsyncEngine, message: Message, now: datetime) -> frozenset[str]:
    """A box's `state`. What cannot be read is said in the log: the box says it again with its next birth."""
    try:
        told = from_json(message.payload, EdgeState)
    except Unreadable as error:
        _log.warning("%s: %s", message.topic, error)
        return frozenset()
    async with db.writing(engine) as connection:
        await sites.record_state(connection, box_of(message.topic), told, now, replayed=message.retained)
    return frozenset({HEALTH, ALERTS, STREETS})
