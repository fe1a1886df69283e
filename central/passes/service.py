"""The only door to decisions: a scan, the registry's facts, the policy; one row, and a verdict while it is of use."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Literal

import msgspec
from msgspec import UNSET
from sqlalchemy import RowMapping, case, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts import service as alerts
from central.auth import service as auth
from central.auth.rules import Role
from central.keys import Keys
from central.passes import rules
from central.passes.tables import answered, decision, painted, pin
from central.passes.tables import policy as policies
from central.registry import service as registry
from central.registry.rules import Line
from models.passes.decision import Decision, decide, with_photo
from models.passes.facts import Fact, to_json
from models.passes.outcome import Outcome
from models.passes.policy import Policy, in_force, parse
from models.wire.events import Event, PassOverridden, PassScanned, PassShown, Verdict
from models.wire.seal import Identity, Unopenable
from models.wire.snapshot import Officer

_log = logging.getLogger(__name__)
_TRAVEL_WINDOW = timedelta(hours=6)
"""Longer than any way within a province."""
_FLAGGED_FOR = timedelta(hours=24)
_EVER = datetime(1900, 1, 1, tzinfo=UTC)
_TRIED = 20_000
"""Scans that a policy is tried on, at most."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    decision: Decision
    resident: bytes | None
    facts: dict[str, Fact]
    """What the policy read."""


async def decide_scans(
    connection: AsyncConnection, keys: Keys, policy: Policy, scans: Sequence[tuple[Event, PassScanned, datetime]]
) -> list[Decided]:
    """Whom each code names, and what the policy says of them there and then; two queries, however many there are."""
    opened = [_open(keys, event, scan) for event, scan, _ in scans]
    asked = [
        [keys.key(kind, value) for kind, value in identity.ids] if isinstance(identity, Identity) else []
        for identity in opened
    ]
    people = [
        person
        if person
        and isinstance(identity, Identity)
        and not rules.contradicts(identity, registered_name_key=person.name_key, registered_birth=person.birth)
        else None
        for identity, person in zip(opened, await registry.resolve_all(connection, asked), strict=True)
    ]
    decreed = [policy, *(await published(connection))]
    known = [(person, at) for person, (_, _, at) in zip(people, scans, strict=True) if person]
    told = iter(await registry.facts_of_all(connection, known))
    decided = []
    for (event, scan, at), identity, person in zip(scans, opened, people, strict=True):
        facts = next(told) if person else {}
        code = scan.facts | {"kind": scan.kind, "signature": scan.signature}
        valid = in_force(decreed, at) or policy
        answer = with_photo(decide(facts, valid, at, code=code, place=event.site), valid, event.id)
        if isinstance(identity, Unopenable):
            answer = replace(answer, outcome=Outcome.CHECK, reasons=("no_data",))
        read = {name: fact for name, fact in facts.items() if name in valid.reads}
        decided.append(Decided(decision=answer, resident=person.id if person else None, facts=read))
    return decided


def _open(keys: Keys, event: Event, scan: PassScanned) -> Identity | Unopenable | None:
    if scan.sealed is UNSET:
        return None
    try:
        return keys.open(scan.sealed)
    except Unopenable as error:
        # Our fault or the edge's, never the person's: somebody has to look, and the log says why.
        _log.warning("scan of %s/%s: %s; give that edge central's public key", event.site, event.edge, error)
        return error


@dataclass(frozen=True, kw_only=True)
class Travel:
    """Where the posts are (latitude, longitude), and how fast one can get from one to another."""

    places: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    most_kmh: float = 120.0


async def record(
    connection: AsyncConnection,
    keys: Keys,
    policy: Policy,
    scans: Sequence[tuple[Event, PassScanned, bool]],
    *,
    now: datetime,
    travel: Travel | None = None,
) -> list[tuple[Event, Verdict]]:
    """New pass.scanned events, each with whether it is late. What comes too late to be of use gets no verdict."""
    dated = [(event, scan, rules.moment_of(event, now, late=late)) for event, scan, late in scans]
    made = await decide_scans(connection, keys, policy, dated)
    rows, verdicts, sides = [], [], []
    for (event, scan, late), one in zip(scans, made, strict=True):
        answer = one.decision
        rows.append(
            {
                "scan": event.id,
                "site": event.site,
                "edge": event.edge,
                "camera": event.camera,
                "kind": scan.kind,
                "scanned_at": event.time,
                "decided_at": now,
                "resident": one.resident,
                "outcome": str(answer.outcome),
                "reasons": msgspec.json.encode(answer.reasons).decode(),
                "policy": answer.policy,
                "valid_until": answer.valid_until,
                "local_outcome": str(scan.local.outcome),
                "late": late,
                "snapshot_at": scan.local.snapshot_at or None,
                "facts": msgspec.json.encode({name: to_json(fact.value) for name, fact in one.facts.items()}).decode(),
                "code": msgspec.json.encode(scan.facts | {"kind": scan.kind, "signature": scan.signature}).decode(),
            }
        )
        sides.append(_Side(event, event.id, answer.outcome, late=late))
        if not late:
            verdict = Verdict(
                scan=event.id,
                outcome=answer.outcome,
                reasons=answer.reasons,
                policy=answer.policy,
                decided_at=now,
                valid_until=UNSET if answer.valid_until is None else answer.valid_until,
            )
            verdicts.append((event, verdict))
    rows.sort(key=itemgetter("scan"))
    await db.insert_new(connection, decision, "scan", rows)
    await _count(connection, rows)
    await _compare(connection, "decided", sides)
    await _flag_travel(connection, rows, travel or Travel(), now)
    return verdicts


async def _count(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Into the hours that they were scanned in, however late they come. Sorted: two centrals take the same rows."""
    told = Counter(
        (row["scanned_at"].replace(minute=0, second=0, microsecond=0), row["site"], row["outcome"]) for row in rows
    )
    statement = db.insert(connection, answered)
    statement = statement.on_conflict_do_update(
        index_elements=["hour", "site", "outcome"], set_={"count": answered.c.count + statement.excluded.count}
    )
    found = [dict(zip(("hour", "site", "outcome", "count"), (*key, told[key]), strict=True)) for key in sorted(told)]
    await db.write_many(connection, statement, found)


async def answers(
    connection: AsyncConnection, since: datetime, places: Sequence[str] = ()
) -> dict[tuple[datetime, Outcome], int]:
    """How many of each answer in each hour from `since` on, at these places or everywhere."""
    query = select(answered.c.hour, answered.c.outcome, func.sum(answered.c.count)).where(answered.c.hour >= since)
    if places:
        query = query.where(answered.c.site.in_(places))
    found = await connection.execute(query.group_by(answered.c.hour, answered.c.outcome))
    return {(hour, Outcome(outcome)): int(count) for hour, outcome, count in found}


async def _flag_travel(
    connection: AsyncConnection, rows: Sequence[Mapping[str, Any]], travel: Travel, now: datetime
) -> None:
    """Whoever was at two places faster than one can travel: an alert, and a flag for a day."""
    seen = [row for row in rows if row["resident"] is not None]
    if not seen:
        return
    others = select(decision.c.scan, decision.c.resident, decision.c.site, decision.c.scanned_at).where(
        decision.c.scanned_at >= min(row["scanned_at"] for row in seen) - _TRAVEL_WINDOW,
        decision.c.scanned_at <= max(row["scanned_at"] for row in seen) + _TRAVEL_WINDOW,
    )
    met = await db.rows_with(connection, others, decision.c.resident, list({row["resident"] for row in seen}))
    for row in seen:
        for other in met:
            if other.resident != row["resident"] or other.site == row["site"]:
                continue
            km = rules.apart_km(travel.places.get(row["site"]), travel.places.get(other.site))
            if not rules.too_fast(km, row["scanned_at"] - other.scanned_at, travel.most_kmh):
                continue
            first, second = sorted((row["scan"], other.scan))
            raised = alerts.Raised(
                dedupe=f"{alerts.TRAVEL}/{first}/{second}",
                kind=alerts.TRAVEL,
                site=row["site"],
                edge=row["edge"],
                camera=row["camera"],
                place=f"{other.site} → {row['site']}",
                at=row["scanned_at"],
                level=3,
                certainty="",
                evidence="",
                late=row["late"],
            )
            if not await alerts.raised_among(connection, [raised.dedupe]):
                await alerts.raise_or_bump(connection, raised)
                begun = min(row["scanned_at"], now)
                flagged = Line("flagged", value=True, from_=begun, until=begun + _FLAGGED_FOR)
                await registry.write(connection, row["resident"], [flagged], source="two places", now=now)


@lru_cache(64)
def _parsed(document: bytes) -> Policy:
    return parse(document, name="published policy")


async def published(connection: AsyncConnection) -> list[Policy]:
    """Every policy that was ever published: an old scan that arrives late is judged by that of its day."""
    rows = await connection.execute(select(policies.c.document).order_by(policies.c.effective_from))
    return [_parsed(document) for document in rows.scalars()]


async def documents(connection: AsyncConnection, now: datetime) -> list[bytes]:
    """What gates need: the policy in force and those that are still to come."""
    rows = (await connection.execute(select(policies).order_by(policies.c.effective_from))).mappings().all()
    begun = [row["document"] for row in rows if row["effective_from"] <= now]
    return begun[-1:] + [row["document"] for row in rows if row["effective_from"] > now]


async def for_gates(connection: AsyncConnection, now: datetime) -> list[tuple[str, bytes]]:
    """(kind, content) of what every gate gets of this room."""
    told = [("policy", document) for document in await documents(connection, now)]
    pins = {row.officer: row for row in await connection.execute(select(pin))}
    officers = [
        Officer(name=one.name, salt=pins[one.name].salt, hash=pins[one.name].hash, places=one.places)
        for one in await overriders(connection)
        if one.has_pin
    ]
    return [*told, ("officers", msgspec.json.encode(officers))] if officers else told


@dataclass(frozen=True, kw_only=True)
class Overrider:
    """Who may decide otherwise at a gate, once there is a PIN."""

    name: str
    full_name: str
    places: tuple[str, ...]
    has_pin: bool


async def overriders(connection: AsyncConnection) -> list[Overrider]:
    """Officers and supervisors who are let in at all: whoever is switched off loses this with the next snapshot."""
    pins = set((await connection.execute(select(pin.c.officer))).scalars())
    return [
        Overrider(name=one.name, full_name=one.full_name, places=one.places, has_pin=one.name in pins)
        for one in await auth.accounts(connection)
        if one.active and {Role.OFFICER, Role.SUPERVISOR} & set(one.roles)
    ]


async def set_pin(connection: AsyncConnection, officer: str, salt: bytes, hashed: bytes) -> bool:
    """False: it is nobody who may decide otherwise."""
    if officer not in {one.name for one in await overriders(connection)}:
        return False
    statement = db.insert(connection, pin).values(officer=officer, salt=salt, hash=hashed)
    new = {"salt": statement.excluded.salt, "hash": statement.excluded.hash}
    await connection.execute(statement.on_conflict_do_update(index_elements=["officer"], set_=new))
    return True


async def take_pin(connection: AsyncConnection, officer: str) -> bool:
    """Whether there was one."""
    gone = await connection.execute(delete(pin).where(pin.c.officer == officer).returning(pin.c.officer))
    return gone.scalar_one_or_none() is not None


async def record_overridden(connection: AsyncConnection, event: Event, told: PassOverridden, *, late: bool) -> None:
    """An officer decided otherwise: it stands among the alerts, with the reason, until somebody has looked."""
    await alerts.raise_or_bump(
        connection,
        alerts.Raised(
            dedupe=f"{alerts.OVERRIDDEN}/{told.scan}",
            kind=alerts.OVERRIDDEN,
            site=event.site,
            edge=event.edge,
            camera=event.camera,
            place=f"{told.outcome} · {told.officer}: {told.reason}",
            at=event.time,
            level=2,
            certainty="",
            evidence="",
            late=late,
            ended_at=event.time,
        ),
    )


async def listed(connection: AsyncConnection) -> list[RowMapping]:
    columns = (policies.c.id, policies.c.name, policies.c.effective_from, policies.c.published_at, policies.c.by)
    return list((await connection.execute(select(*columns).order_by(policies.c.effective_from.desc()))).mappings())


async def publish(connection: AsyncConnection, document: bytes, *, by: str, now: datetime) -> Policy:
    """Raises BadPolicy: what reads outside the vocabulary, or names a reason without a text, is never published."""
    read = parse(document, name="policy")
    row = {"id": read.id, "name": read.name, "document": document, "effective_from": read.effective_from}
    await db.insert_new(connection, policies, "id", [row | {"published_at": now, "by": by}])
    return read


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a policy would have done: how many scans went from one answer to another."""

    scans: int
    changed: Mapping[tuple[str, str], int]


async def preview(connection: AsyncConnection, document: bytes, since: datetime) -> Preview:
    """Every scan since then, decided anew as of its moment, with what is known today. Raises BadPolicy."""
    tried = replace(parse(document, name="policy"), effective_from=_EVER)
    rows = (
        (
            await connection.execute(
                select(decision).where(decision.c.scanned_at >= since, decision.c.code.is_not(None)).limit(_TRIED)
            )
        )
        .mappings()
        .all()
    )
    people = await registry.by_ids(connection, [row["resident"] for row in rows if row["resident"]])
    asked = [(people[row["resident"]], row["scanned_at"]) for row in rows if row["resident"] in people]
    told = iter(await registry.facts_of_all(connection, asked))
    changed: Counter[tuple[str, str]] = Counter()
    for row in rows:
        facts = next(told) if row["resident"] in people else {}
        code = msgspec.json.decode(row["code"])
        made = with_photo(decide(facts, tried, row["scanned_at"], code=code, place=row["site"]), tried, row["scan"])
        if str(made.outcome) != row["outcome"]:
            changed[row["outcome"], str(made.outcome)] += 1
    return Preview(scans=len(rows), changed=dict(changed))


async def record_shown(connection: AsyncConnection, told: Sequence[tuple[Event, PassShown]]) -> bool:
    """New pass.shown events: what officers saw, held against what central says. True when there is an alert."""
    return await _compare(
        connection, "shown", [_Side(event, shown.scan, shown.outcome, late=False) for event, shown in told]
    )


@dataclass(frozen=True)
class _Side:
    """One side's answer to a scan."""

    event: Event
    scan: str
    outcome: Outcome
    late: bool


async def _compare(connection: AsyncConnection, side: Literal["shown", "decided"], told: Sequence[_Side]) -> bool:
    """Whichever comes second sees both, and raises an alert where they differ; what is corrected later ends it."""
    statement = db.insert(connection, painted)
    new = statement.excluded
    # Of several that were shown the most severe one counts: an answer on a screen only becomes more severe.
    greater = case((new[side] > func.coalesce(painted.c[side], -1), new[side]), else_=painted.c[side])
    events = {one.scan: one.event for one in told}
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["scan"], set_={side: greater, "late": or_(painted.c.late, new.late)}
        ),
        [
            {"scan": one.scan, side: one.outcome.severity, "late": one.late}
            for one in sorted(told, key=lambda one: (one.scan, one.outcome.severity))
        ],
    )
    both = await connection.execute(
        select(painted)
        .where(painted.c.scan.in_(sorted(events)), painted.c.shown.is_not(None), painted.c.decided.is_not(None))
        .order_by(painted.c.scan)
    )
    answers = {row.scan: (Outcome.of(row.shown), Outcome.of(row.decided), row.late) for row in both}
    names = {scan: f"{alerts.DIFFERS}/{scan}" for scan in answers}
    raised = await alerts.raised_among(connection, list(names.values()))
    alarmed = False
    for scan, (theirs, ours, late) in answers.items():
        if not rules.differs(theirs, ours) and names[scan] not in raised:
            continue
        event = events[scan]
        await alerts.raise_or_bump(
            connection,
            alerts.Raised(
                dedupe=names[scan],
                kind=alerts.DIFFERS,
                site=event.site,
                edge=event.edge,
                camera=event.camera,
                place=f"{theirs} → {ours}",
                at=event.time,
                level=3,
                certainty="",
                evidence="",
                late=late,
                ended_at=event.time if ours == theirs else None,
            ),
        )
        alarmed = True
    return alarmed


async def outcomes(connection: AsyncConnection, since: datetime) -> dict[str, int]:
    """How many scans ended how since then."""
    rows: Any = await connection.execute(
        select(decision.c.outcome, func.count()).where(decision.c.scanned_at >= since).group_by(decision.c.outcome)
    )
    return {outcome: number for outcome, number in rows}  # noqa: C416  (a Result is no mapping)
