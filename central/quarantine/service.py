"""The only door to incidents: somebody left a zone, or entered one that is closed."""

from datetime import datetime

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts import service as alerts
from central.alerts.rules import Alert
from central.keys import Keys
from central.quarantine.tables import incident
from central.registry import service as registry
from central.registry.rules import Line
from models.wire.events import Event, ZoneBreached

_LEVELS = {"left": 4, "probable": 3}
_KINDS = {12: "cccd", 9: "cmnd"}


async def named(connection: AsyncConnection, keys: Keys, number: str) -> bytes | None:
    """The resident whom a card's number belongs to."""
    names = [keys.key(kind, number) for kind in (_KINDS[len(number)], "qid")]
    found = await registry.resolve(connection, names)
    return None if found is None else found.id


async def break_order(connection: AsyncConnection, resident: bytes, row: Alert, *, by: str, now: datetime) -> None:
    """From the breach on: the next gate that this person comes to knows it."""
    line = Line("order_broken", value=True, from_=min(row.first_at, now))
    await registry.write(connection, resident, [line], source=f"alert {row.id}: {by}", now=now)


async def record(connection: AsyncConnection, event: Event, breach: ZoneBreached, *, late: bool, now: datetime) -> None:
    """One new zone.breached. The incident keeps its newest phase, the alert joins them all."""
    # An incident's name is its outbox's own: another outbox may use it again.
    dedupe = f"{alerts.BREACH}/{event.site}/{event.edge}/{event.camera}/{event.epoch}/{breach.incident}"
    statement = db.insert(connection, incident).values(
        dedupe=dedupe,
        site=event.site,
        edge=event.edge,
        camera=event.camera,
        zone=breach.zone,
        phase=breach.phase,
        certainty=breach.certainty,
        end_reason=None if breach.end_reason is UNSET else breach.end_reason,
        left_at=breach.left_at,
        reported_at=breach.reported_at,
        at=event.time,
        sequence=event.sequence,
    )
    changing = ("phase", "certainty", "end_reason", "left_at", "reported_at", "at", "sequence")
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["dedupe"],
            set_={name: statement.excluded[name] for name in changing},
            where=statement.excluded.sequence > incident.c.sequence,
        )
    )
    if breach.quiet is not UNSET:
        return  # written down; nobody is to be alarmed
    await alerts.raise_or_bump(
        connection,
        alerts.Raised(
            dedupe=dedupe,
            kind=alerts.BREACH,
            site=event.site,
            edge=event.edge,
            camera=event.camera,
            place=breach.zone,
            at=event.time,
            heard_at=now,
            level=_LEVELS[breach.certainty],
            certainty=breach.certainty,
            evidence=event.dataref or "",
            box="" if breach.shown is UNSET else " ".join(f"{part:g}" for part in breach.shown),
            beyond=None if breach.beyond is UNSET else breach.beyond,
            late=late,
            ended_at=event.time if breach.phase == "close" else None,
            end_reason=None if breach.end_reason is UNSET else breach.end_reason,
            person=f"{event.edge}/{event.camera}/{event.epoch}/{breach.track}",
        ),
    )
