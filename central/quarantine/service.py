"""The only door to incidents: somebody left a zone, or entered one that is closed."""

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts import service as alerts
from central.quarantine.tables import incident
from models.wire.events import Event, ZoneBreached

_LEVELS = {"left": 4, "probable": 3}


async def record(connection: AsyncConnection, event: Event, breach: ZoneBreached, *, late: bool) -> None:
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
            level=_LEVELS[breach.certainty],
            certainty=breach.certainty,
            evidence=event.dataref or "",
            late=late,
            ended=breach.phase == "close",
        ),
    )
