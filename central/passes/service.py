"""The only door to decisions: a scan, the registry's facts, the policy; one row, and a verdict while it is of use."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal

import msgspec
from msgspec import UNSET
from sqlalchemy import case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts import service as alerts
from central.keys import Keys
from central.passes import rules
from central.passes.tables import decision, painted
from central.registry import service as registry
from models.passes.decision import Decision, decide
from models.passes.facts import Fact, to_json
from models.passes.outcome import Outcome
from models.passes.policy import Policy
from models.wire.events import Event, PassScanned, PassShown, Verdict
from models.wire.seal import Identity, Unopenable

_log = logging.getLogger(__name__)


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
    known = [(person, at) for person, (_, _, at) in zip(people, scans, strict=True) if person]
    told = iter(await registry.facts_of_all(connection, known))
    decided = []
    for (event, scan, at), identity, person in zip(scans, opened, people, strict=True):
        facts = next(told) if person else {}
        code = scan.facts | {"kind": scan.kind, "signature": scan.signature}
        answer = decide(facts, policy, at, code=code, place=event.site)
        if isinstance(identity, Unopenable):
            answer = replace(answer, outcome=Outcome.CHECK, reasons=("no_data",))
        read = {name: fact for name, fact in facts.items() if name in policy.reads}
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


async def record(
    connection: AsyncConnection,
    keys: Keys,
    policy: Policy,
    scans: Sequence[tuple[Event, PassScanned, bool]],
    *,
    now: datetime,
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
    await _compare(connection, "decided", sides)
    return verdicts


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
                ended=ours == theirs,
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
