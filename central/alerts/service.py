"""The only door to alerts. Whatever order events come in, the same rows stand at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, case, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts.tables import alert

BREACH = "breach"
TRAVEL = "travel"
"""One person at two places faster than one can travel."""
OVERRIDDEN = "overridden"
"""An officer has decided otherwise, with a reason."""
DIFFERS = "differs"
"""A gate has answered by itself, and central answers otherwise."""
_SHOWN_DONE = 50


@dataclass(frozen=True, kw_only=True)
class Raised:
    """One event's share in an alert. `dedupe` names the incident."""

    dedupe: str
    kind: str
    site: str
    edge: str
    camera: str
    place: str
    at: datetime
    level: int
    certainty: str
    evidence: str
    late: bool
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Alert:
    id: int
    kind: str
    site: str
    edge: str
    camera: str
    place: str
    first_at: datetime
    last_at: datetime
    count: int
    level: int
    certainty: str
    evidence: str
    late: bool
    ended: bool
    state: str
    by: str | None
    by_at: datetime | None

    @property
    def rings(self) -> bool:
        """What came late is shown, never rung."""
        return self.state == "open" and not self.late


@dataclass(frozen=True)
class Acknowledged:
    by: str


@dataclass(frozen=True)
class Taken:
    """Somebody was quicker; `by` is None when there is no such alert."""

    by: str | None


async def raise_or_bump(connection: AsyncConnection, raised: Raised) -> None:
    """Call once for each new event. Every column is joined by an operation without an order: least, sum, or."""
    statement = db.insert(connection, alert).values(
        dedupe=raised.dedupe,
        kind=raised.kind,
        site=raised.site,
        edge=raised.edge,
        camera=raised.camera,
        place=raised.place,
        first_at=raised.at,
        last_at=raised.at,
        count=1,
        level=raised.level,
        certainty=raised.certainty,
        evidence=raised.evidence,
        late=raised.late,
        ended=raised.ended,
        state="open",
    )
    new = statement.excluded

    def least(name: str) -> Any:
        return case((new[name] < alert.c[name], new[name]), else_=alert.c[name])

    def greatest(name: str) -> Any:
        return case((new[name] > alert.c[name], new[name]), else_=alert.c[name])

    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["dedupe"],
            set_={
                "first_at": least("first_at"),
                "last_at": greatest("last_at"),
                "count": alert.c["count"] + 1,
                "level": greatest("level"),
                "certainty": least("certainty"),  # "left" stands before "probable": what is certain stays
                # The picture of the first moment; of two at the same moment, the smaller hash.
                "evidence": case(
                    (alert.c.evidence == "", new.evidence),
                    (new.evidence == "", alert.c.evidence),
                    (
                        or_(
                            new.first_at < alert.c.first_at,
                            and_(new.first_at == alert.c.first_at, new.evidence < alert.c.evidence),
                        ),
                        new.evidence,
                    ),
                    else_=alert.c.evidence,
                ),
                "late": and_(alert.c.late, new.late),
                "ended": or_(alert.c.ended, new.ended),
            },
        )
    )


def _alert(row: RowMapping) -> Alert:
    return Alert(**{name: value for name, value in row.items() if name != "dedupe"})


async def raised_among(connection: AsyncConnection, dedupes: Sequence[str]) -> set[str]:
    """Those of them that stand as an alert."""
    if not dedupes:
        return set()
    return set((await connection.execute(select(alert.c.dedupe).where(alert.c.dedupe.in_(dedupes)))).scalars())


def _within(places: Sequence[str]) -> Any:
    return alert.c.site.in_(places) if places else true()


async def open_alerts(connection: AsyncConnection, places: Sequence[str] = ()) -> list[Alert]:
    """Oldest first: who waits longest is seen first."""
    rows = await connection.execute(
        select(alert).where(alert.c.state == "open", _within(places)).order_by(alert.c.first_at, alert.c.id)
    )
    return [_alert(row) for row in rows.mappings()]


async def done_alerts(connection: AsyncConnection, places: Sequence[str] = (), limit: int = _SHOWN_DONE) -> list[Alert]:
    """The last ones that somebody has taken, newest first."""
    rows = await connection.execute(
        select(alert)
        .where(alert.c.state != "open", _within(places))
        .order_by(alert.c.last_at.desc(), alert.c.id.desc())
        .limit(limit)
    )
    return [_alert(row) for row in rows.mappings()]


async def acknowledge(connection: AsyncConnection, alert_id: int, by: str, now: datetime) -> Acknowledged | Taken:
    """Compare and set: of two who press at once, one gets it and the other is told who."""
    changed = await connection.execute(
        update(alert)
        .where(alert.c.id == alert_id, alert.c.state == "open")
        .values(state="acknowledged", by=by, by_at=now)
        .returning(alert.c.id)
    )
    if changed.scalar_one_or_none() is not None:
        return Acknowledged(by)
    return Taken((await connection.execute(select(alert.c.by).where(alert.c.id == alert_id))).scalar_one_or_none())


async def site_of(connection: AsyncConnection, alert_id: int) -> str | None:
    return (await connection.execute(select(alert.c.site).where(alert.c.id == alert_id))).scalar_one_or_none()


async def site_of_evidence(connection: AsyncConnection, name: str) -> str | None:
    """Where a manifest's alert was raised."""
    found = await connection.execute(select(alert.c.site).where(alert.c.evidence == name).limit(1))
    return found.scalar_one_or_none()


async def raised_since(
    connection: AsyncConnection, since: datetime, places: Sequence[str] = (), most: int = 50_000
) -> list[datetime]:
    """When each alert was raised, the newest first."""
    query = select(alert.c.first_at).where(alert.c.last_at >= since, alert.c.first_at >= since)
    if places:
        query = query.where(alert.c.site.in_(places))
    return list((await connection.execute(query.order_by(alert.c.first_at.desc()).limit(most))).scalars())


async def last_at(connection: AsyncConnection, places: Sequence[str] = ()) -> datetime | None:
    """When anything was last raised."""
    # max() forgets the column's type on SQLite, so the newest row is read instead.
    row = await connection.execute(
        select(alert.c.last_at).where(_within(places)).order_by(alert.c.last_at.desc()).limit(1)
    )
    return row.scalar_one_or_none()
