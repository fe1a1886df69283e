"""The only door to decisions: a scan, the registry's facts, the policy; one row, and a verdict while it is of use."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.keys import Keys
from central.passes import rules
from central.passes.tables import decision
from central.registry import service as registry
from models.passes.decision import Decision, decide
from models.passes.facts import Fact
from models.passes.outcome import Outcome
from models.passes.policy import Policy
from models.wire.events import Event, PassScanned, Verdict
from models.wire.seal import Unopenable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Decided:
    decision: Decision
    resident: bytes | None


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
    return Decided(decision=decided, resident=person.id if person else None)


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
    made = await decide_scan(connection, keys, policy, event, scan, now=now)
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
        )
        .on_conflict_do_nothing(index_elements=["scan"])
    )
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


async def outcomes(connection: AsyncConnection, since: datetime) -> dict[str, int]:
    """How many scans ended how since then."""
    rows: Any = await connection.execute(
        select(decision.c.outcome, func.count()).where(decision.c.scanned_at >= since).group_by(decision.c.outcome)
    )
    return {outcome: number for outcome, number in rows}  # noqa: C416  (a Result is no mapping)
