"""Messages in, rows out: one transaction, new ids only, then what must be answered. A plain function of its input."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from msgspec import UNSET
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.crowd import service as crowd
from central.history import service as history
from central.inbox import days, rules
from central.inbox.rules import Element, Letter
from central.inbox.tables import dead_letter, event
from central.keys import Keys
from central.live import ALERTS, HEALTH, STREETS
from central.passes import service as passes
from central.quarantine import service as quarantine
from central.sites import service as sites
from central.sites.rules import Came
from models.limits import Limits
from models.passes.policy import Policy
from models.wire.events import (
    CameraStatus,
    CrowdLevel,
    CrowdMeasured,
    Data,
    EdgeState,
    Event,
    OutboxThinned,
    PassOverridden,
    PassScanned,
    PassShown,
    Receipt,
    Unreadable,
    Verdict,
    ZoneBreached,
    from_json,
    ranges,
)
from models.wire.topics import Box, box_of

_log = logging.getLogger(__name__)
_KEPT_BYTES = 1 << 20
"""Of a dead letter: all that a broker lets through, so that it can be replayed after a fix."""

_Part = tuple[Box, Element | Letter]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the inbox decides with."""

    engine: AsyncEngine
    keys: Keys = field(repr=False)
    policy: Policy
    """Until one has been published."""
    travel: passes.Travel = field(default_factory=passes.Travel)
    pass_fresh_seconds: float = 2.0
    breach_fresh_seconds: float = 300.0
    keep_days: int = 30
    limits: Limits | None = None
    """The directive whose actions districts are advised to take."""


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
    buried: frozenset[bytes] = frozenset()
    """The digests of the dead letters among them, new or known."""


@dataclass
class _Round:
    """One transaction's work."""

    desk: Desk
    connection: AsyncConnection
    now: datetime
    verdicts: list[tuple[Box, Verdict]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    def is_late(self, told: Event) -> bool:
        return rules.is_late(
            told, self.now, pass_seconds=self.desk.pass_fresh_seconds, breach_seconds=self.desk.breach_fresh_seconds
        )


async def _scanned(work: _Round, told: Sequence[tuple[Event, PassScanned]]) -> None:
    scans = [(happened, scan, work.is_late(happened)) for happened, scan in told]
    made = await passes.record(
        work.connection, work.desk.keys, work.desk.policy, scans, now=work.now, travel=work.desk.travel
    )
    work.verdicts += ((Box(scanned.site, scanned.edge), verdict) for scanned, verdict in made)


async def _shown(work: _Round, told: Sequence[tuple[Event, PassShown]]) -> None:
    if await passes.record_shown(work.connection, told):
        work.touched.add(ALERTS)


async def _overridden(work: _Round, told: Sequence[tuple[Event, PassOverridden]]) -> None:
    for happened, data in told:
        await passes.record_overridden(work.connection, happened, data, late=work.is_late(happened))
    work.touched.add(ALERTS)


async def _breached(work: _Round, told: Sequence[tuple[Event, ZoneBreached]]) -> None:
    for happened, breach in told:
        await quarantine.record(work.connection, happened, breach, late=work.is_late(happened), now=work.now)
    work.touched.add(ALERTS)


async def _level(work: _Round, told: Sequence[tuple[Event, CrowdLevel]]) -> None:
    await crowd.record_levels(work.connection, told)
    await crowd.warn(work.connection, [happened for happened, _ in told], work.now, work.desk.limits)
    work.touched.add(STREETS)


async def _measured(work: _Round, told: Sequence[tuple[Event, CrowdMeasured]]) -> None:
    await crowd.record_measures(work.connection, told)
    await history.fold(work.connection, told, work.now, work.desk.keep_days)
    work.touched.add(STREETS)


async def _status(work: _Round, told: Sequence[tuple[Event, CameraStatus]]) -> None:
    await sites.record_statuses(work.connection, told)
    work.touched |= {HEALTH, ALERTS, STREETS}


Apply = Callable[[_Round, Sequence[tuple[Event, Any]]], Awaitable[None]]

APPLY: Mapping[type[Data], Apply] = MappingProxyType(
    {
        PassScanned: _scanned,
        PassShown: _shown,
        PassOverridden: _overridden,
        ZoneBreached: _breached,
        CrowdLevel: _level,
        CrowdMeasured: _measured,
        CameraStatus: _status,
    }
)
"""What new events of a type cause, in this order; a type that is not here is kept and causes nothing."""


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
        "late": work.is_late(told),
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


def _read(messages: Sequence[Message]) -> Iterator[_Part]:
    for message in messages:
        box = box_of(message.topic)
        try:
            parts = list(rules.take_apart(message.topic, box, message.payload))
        except Exception as error:  # noqa: BLE001  (one message never stops the others)
            _log.exception("a message of %s/%s cannot be taken apart: a dead letter", *box)
            parts = [Letter(message.topic, message.payload, f"batch: {type(error).__name__}")]
        for part in parts:
            yield box, part


def _receipts(parts: Sequence[_Part], keys: Keys, now: datetime) -> tuple[tuple[Box, Receipt], ...]:
    done: dict[tuple[Box, str], set[int]] = defaultdict(set)
    rejected: dict[tuple[Box, str], dict[int, str]] = defaultdict(dict)
    evidence: dict[tuple[Box, str], dict[str, str]] = defaultdict(dict)
    for box, part in parts:
        if isinstance(part, Element):
            done[box, part.event.epoch].add(part.event.sequence)
            if part.event.dataref is not None:
                evidence[box, part.event.epoch][part.event.dataref] = keys.countersign(part.event.dataref, now)
        elif part.epoch is not None and part.sequence is not None:
            # Rejected is committed too, as a dead letter: the edge may forget it.
            done[box, part.epoch].add(part.sequence)
            rejected[box, part.epoch][part.sequence] = part.word
    return tuple(
        (
            box,
            Receipt(
                epoch=epoch,
                ranges=ranges(sequences),
                rejected=tuple(sorted(rejected[box, epoch].items())) if rejected[box, epoch] else UNSET,
                evidence=evidence[box, epoch] or UNSET,
            ),
        )
        for (box, epoch), sequences in done.items()
    )


async def _commit(desk: Desk, parts: Sequence[_Part], now: datetime) -> Taken:
    # Sorted, here and in every room below: two replicas that take the same rows then never wait for each other in a
    # ring.
    elements = {part.event.id: part for _, part in reversed(parts) if isinstance(part, Element)}
    ordered = sorted(elements.values(), key=_order)
    letters = {row["digest"]: row for _, part in parts if isinstance(part, Letter) for row in [_letter_row(part, now)]}
    await days.prepare(desk.engine, {element.event.time.date() for element in ordered}, now)
    async with db.writing(desk.engine) as connection:
        work = _Round(desk, connection, now)
        rows = sorted((_row(work, element) for element in ordered), key=itemgetter("id"))
        new = await db.insert_new(connection, event, "id", rows)
        for kind, apply in APPLY.items():
            if told := [(e.event, e.event.data) for e in ordered if type(e.event.data) is kind and e.event.id in new]:
                await apply(work, told)
        await sites.record_seen(connection, _came(parts, new), now)
        dead = await db.insert_new(connection, dead_letter, "digest", [letters[digest] for digest in sorted(letters)])
    if dead:
        words = sorted({f"{x.topic}: {x.word}" for _, x in parts if isinstance(x, Letter)})
        _log.warning("%d dead letters: %s", len(dead), "; ".join(words))
    return Taken(
        receipts=_receipts(parts, desk.keys, now),
        verdicts=tuple(work.verdicts),
        touched=frozenset(work.touched),
        new=len(new),
        known=len(elements) - len(new),
        dead=len(dead),
        buried=frozenset(letters),
    )


def _order(element: Element) -> tuple[str, str, str, str, int]:
    told = element.event
    return told.site, told.edge, told.camera, told.epoch, told.sequence


def _came(parts: Sequence[_Part], new: AbstractSet[str]) -> list[Came]:
    sequences: dict[tuple[Box, str], set[int]] = defaultdict(set)
    repeated: dict[tuple[Box, str], set[int]] = defaultdict(set)
    for box, part in parts:
        if isinstance(part, Element):
            told = part.event
            sequences[box, told.epoch].add(told.sequence)
            if told.id not in new:
                repeated[box, told.epoch].add(told.sequence)
            if isinstance(told.data, OutboxThinned):  # never sent, and said to be so
                sequences[box, told.epoch].update(rules.numbers(told.data.ranges))
        elif part.epoch is not None and part.sequence is not None:
            sequences[box, part.epoch].add(part.sequence)
    return [
        Came(box, epoch, frozenset(told), frozenset(repeated[box, epoch])) for (box, epoch), told in sequences.items()
    ]


async def take(desk: Desk, messages: Sequence[Message], now: datetime) -> Taken:
    """Messages of `event` topics, committed together. Raises what `db.is_away` knows while the database is away:
    nothing is committed then, and the caller comes again. An event that the database or our own code cannot take
    becomes a dead letter, and the others are committed without it.
    """
    return await _take(desk, list(_read(messages)), now)


async def _take(desk: Desk, parts: Sequence[_Part], now: datetime) -> Taken:
    try:
        return await _commit(desk, parts, now)
    except Exception as error:
        if db.is_away(error):
            raise
        if len(parts) > 1:  # one of them is at fault: the halves are tried until it is alone
            half = len(parts) // 2
            return _joined([await _take(desk, parts[:half], now), await _take(desk, parts[half:], now)])
        box, part = parts[0]
        if isinstance(part, Letter):
            raise
        # A driver's message may repeat values, so only the error's kind is kept.
        reason = f"refused: {type(getattr(error, 'orig', None) or error).__name__}"
        if isinstance(error, DBAPIError):
            _log.error("the database refuses an event of %s/%s (%s): a dead letter", *box, reason)
        else:
            _log.exception("an event of %s/%s cannot be taken: a dead letter", *box)
        return await _commit(
            desk, [(box, Letter(box.event, part.raw, reason, part.event.epoch, part.event.sequence))], now
        )


def _joined(taken: Sequence[Taken]) -> Taken:
    return Taken(
        receipts=tuple(receipt for one in taken for receipt in one.receipts),
        verdicts=tuple(verdict for one in taken for verdict in one.verdicts),
        touched=frozenset().union(*(one.touched for one in taken)),
        new=sum(one.new for one in taken),
        known=sum(one.known for one in taken),
        dead=sum(one.dead for one in taken),
        buried=frozenset().union(*(one.buried for one in taken)),
    )


async def take_states(engine: AsyncEngine, messages: Sequence[Message], now: datetime) -> Taken:
    """Boxes' `state`s, committed together; a box that is unsure what has come is told. What cannot be read is said in
    the log: the box says it again with its next birth.
    """
    told: list[sites.Told] = []
    for message in messages:
        try:
            state = from_json(message.payload, EdgeState)
        except Unreadable as error:
            _log.warning("%s: %s", message.topic, error)
        else:
            told.append(sites.Told(box_of(message.topic), state, replayed=message.retained))
    answers = []
    async with db.writing(engine) as connection:
        await sites.record_states(connection, told, now)
        for one in told:
            if one.state.unsure is not UNSET and one.state.epoch is not UNSET and not one.replayed:
                came = await sites.seen(connection, one.box, one.state.epoch, one.state.unsure)
                answers.append((one.box, Receipt(epoch=one.state.epoch, ranges=came)))
    return Taken(receipts=tuple(answers), touched=frozenset({HEALTH, ALERTS, STREETS}) if told else frozenset())
