"""The only door to decisions: a scan, the registry's facts, the policy; one row, and a verdict while it is of use."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

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
from models.wire.seal import Unopenable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Decided:
    decision: Decision
    resident: bytes | None
    facts: dict[str, Fact]
    """What the policy read."""


async def decide_scan(
    connection: AsyncConnection, keys: Keys, policy: Policy, event: Event, scan: PassScanned, *, now: datetime
) -> Decided:
    """Whom the code names, and what the policy says of them here and now."""
    person: registry.Resident | None = None
    facts: dict[str, Fact] = {}
    damaged = False
    if scan.sealed is not UNSET:
        try:
            identity = keys.open(scan.sealed)
        except Unopenable as error:
            # Our fault or the edge's, never the person's: somebody has to look, and the log says why.
            _log.warning("scan of %s/%s: %s; give that edge central's public key", event.site, event.edge, error)
            damaged = True
        else:
            person = await registry.resolve(connection, [keys.key(kind, value) for kind, value in identity.ids])
            if person and rules.contradicts(
                identity, registered_name_key=person.name_key, registered_birth=person.birth
            ):
                person = None
    if person:
        facts = await registry.facts_of(connection, person, now)
    code = scan.facts | {"kind": scan.kind, "signature": scan.signature}
    decided = decide(facts, policy, now, code=code, place=event.site)
    if damaged:
        decided = replace(decided, outcome=Outcome.CHECK, reasons=("no_data",))
    read = {name: fact for name, fact in facts.items() if name in policy.reads}
    return Decided(decision=decided, resident=person.id if person else None, facts=read)


async def record(
    connection: AsyncConnection,
    keys: Keys,
    policy: Policy,
    event: Event,
    scan: PassScanned,
    *,
    now: datetime,
    late: bool,
) -> Verdict | None:
    """One new pass.scanned. The verdict is None when it comes too late to be of use."""
    at = rules.moment_of(event, now, late=late)
    made = await decide_scan(connection, keys, policy, event, scan, now=at)
    answer = made.decision
    await connection.execute(
        db.insert(connection, decision)
        .values(
            scan=event.id,
            site=event.site,
            edge=event.edge,
            camera=event.camera,
            kind=scan.kind,
            scanned_at=event.time,
            decided_at=now,
            resident=made.resident,
            outcome=str(answer.outcome),
            reasons=msgspec.json.encode(answer.reasons).decode(),
            policy=answer.policy,
            valid_until=answer.valid_until,
            local_outcome=str(scan.local.outcome),
            late=late,
            snapshot_at=scan.local.snapshot_at or None,
            facts=msgspec.json.encode({name: to_json(fact.value) for name, fact in made.facts.items()}).decode(),
        )
        .on_conflict_do_nothing(index_elements=["scan"])
    )
    await _compare(connection, event, event.id, "decided", answer.outcome, late=late)
    if late:
        return None
    return Verdict(
        scan=event.id,
        outcome=answer.outcome,
        reasons=answer.reasons,
        policy=answer.policy,
        decided_at=now,
        valid_until=UNSET if answer.valid_until is None else answer.valid_until,
    )


async def record_shown(connection: AsyncConnection, event: Event, shown: PassShown) -> bool:
    """One new pass.shown: what an officer saw, held against what central says. True when there is an alert."""
    return await _compare(connection, event, shown.scan, "shown", shown.outcome, late=False)


async def _compare(
    connection: AsyncConnection, event: Event, scan: str, side: str, outcome: Outcome, *, late: bool
) -> bool:
    """Whichever comes second sees both, and raises an alert where they differ; what is corrected later ends it."""
    statement = db.insert(connection, painted).values({"scan": scan, side: outcome.severity, "late": late})
    new = statement.excluded
    # Of several that were shown the most severe one counts: an answer on a screen only becomes more severe.
    greater = case((new[side] > func.coalesce(painted.c[side], -1), new[side]), else_=painted.c[side])
    row = (
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["scan"], set_={side: greater, "late": or_(painted.c.late, new.late)}
            ).returning(painted.c.shown, painted.c.decided, painted.c.late)
        )
    ).one()
    if row.shown is None or row.decided is None:
        return False
    ours, theirs = Outcome.of(row.decided), Outcome.of(row.shown)
    raised = alerts.Raised(
        dedupe=f"{alerts.DIFFERS}/{scan}",
        kind=alerts.DIFFERS,
        site=event.site,
        edge=event.edge,
        camera=event.camera,
        place=f"{theirs} → {ours}",
        at=event.time,
        level=3,
        certainty="",
        evidence="",
        late=row.late,
        ended=ours == theirs,
    )
    if not rules.differs(theirs, ours) and not await alerts.is_raised(connection, raised.dedupe):
        return False
    await alerts.raise_or_bump(connection, raised)
    return True


async def outcomes(connection: AsyncConnection, since: datetime) -> dict[str, int]:
    """How many scans ended how since then."""
    rows: Any = await connection.execute(
        select(decision.c.outcome, func.count()).where(decision.c.scanned_at >= since).group_by(decision.c.outcome)
    )
    return {outcome: number for outcome, number in rows}  # noqa: C416  (a Result is no mapping)
