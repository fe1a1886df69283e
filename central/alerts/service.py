"""The only door to alerts. Whatever order events come in, the same rows stand at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, case, func, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts import rules
from central.alerts.rules import BREACH, DIFFERS, OVERRIDDEN, TRAVEL, Alert, Cause, Outcome, Patience, State
from central.alerts.tables import alert
from central.notify import service as notify
from central.notify.rules import Kind
from central.notify.service import News
from models.view.page import Lang, clock, text

__all__ = ["BREACH", "DIFFERS", "OVERRIDDEN", "TRAVEL"]
_SHOWN_DONE = 50
_MOST_OPEN = 5_000
_MOST_TAKEN = 200
"""Of what is being seen to, the newest: whatever nobody resolves must not push what nobody has taken off the page."""
_MOST_FIGURES = 10_000


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
    heard_at: datetime | None = None
    """When central heard of it; None: when it happened."""
    level: int
    certainty: str
    evidence: str
    box: str = ""
    beyond: float | None = None
    late: bool
    ended_at: datetime | None = None
    end_reason: str | None = None
    person: str = ""


@dataclass(frozen=True)
class Acknowledged:
    by: str


@dataclass(frozen=True)
class Resolved:
    alert: Alert


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
        raised_at=raised.heard_at or raised.at,
        evidence=raised.evidence,
        box=raised.box,
        beyond=raised.beyond,
        late=raised.late,
        ended_at=raised.ended_at,
        end_reason=raised.end_reason,
        person=raised.person,
        state=State.OPEN,
    )
    new = statement.excluded

    def least(name: str) -> Any:
        return case((new[name] < alert.c[name], new[name]), else_=alert.c[name])

    def greatest(name: str) -> Any:
        return case((new[name] > alert.c[name], new[name]), else_=alert.c[name])

    def pictured(name: str) -> Any:
        """The picture of the first moment, and what belongs to it; of two at the same moment, the smaller hash."""
        earlier = or_(
            new.first_at < alert.c.first_at,
            and_(new.first_at == alert.c.first_at, new.evidence < alert.c.evidence),
        )
        return case(
            (alert.c.evidence == "", new[name]),
            (new.evidence == "", alert.c[name]),
            (earlier, new[name]),
            else_=alert.c[name],
        )

    def ended(name: str) -> Any:
        """A film that comes after the end says the end again, later."""
        known = and_(alert.c.ended_at.is_not(None), or_(new.ended_at.is_(None), alert.c.ended_at <= new.ended_at))
        return case((known, alert.c[name]), else_=new[name])

    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["dedupe"],
            set_={
                "first_at": least("first_at"),
                "last_at": greatest("last_at"),
                "raised_at": least("raised_at"),
                "count": alert.c["count"] + 1,
                "level": greatest("level"),
                "certainty": least("certainty"),  # "left" stands before "probable": what is certain stays
                "evidence": pictured("evidence"),
                "box": pictured("box"),
                "beyond": case(
                    (alert.c.beyond.is_(None), new.beyond),
                    (new.beyond.is_(None), alert.c.beyond),
                    else_=greatest("beyond"),
                ),
                "late": and_(alert.c.late, new.late),
                "ended_at": ended("ended_at"),
                "end_reason": ended("end_reason"),
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


async def _some(connection: AsyncConnection, *where: Any, most: int) -> list[Alert]:
    """The newest of them, as rows: one person's are joined."""
    found = await connection.execute(
        select(alert).where(*where).order_by(alert.c.first_at.desc(), alert.c.id.desc()).limit(most)
    )
    return rules.rows(_alert(row) for row in found.mappings())


async def unresolved(connection: AsyncConnection, places: Sequence[str] = ()) -> list[Alert]:
    """What waits for somebody or is being seen to. Oldest first: who waits longest is seen first."""
    waiting = select(alert).where(alert.c.state == State.OPEN, _within(places)).order_by(alert.c.first_at, alert.c.id)
    taken = select(alert).where(alert.c.state == State.ACKNOWLEDGED, _within(places)).order_by(alert.c.first_at.desc())
    found = [
        _alert(row)
        for query in (waiting.limit(_MOST_OPEN), taken.limit(_MOST_TAKEN))
        for row in (await connection.execute(query)).mappings()
    ]
    return rules.rows(found)


async def open_alerts(connection: AsyncConnection, places: Sequence[str] = ()) -> list[Alert]:
    """What waits for somebody."""
    return [one for one in await unresolved(connection, places) if one.state == State.OPEN]


async def resolved(
    connection: AsyncConnection,
    places: Sequence[str] = (),
    *,
    before: datetime | None = None,
    site: str = "",
    most: int = _SHOWN_DONE,
) -> list[Alert]:
    """The newest first."""
    where = [alert.c.state == State.RESOLVED, _within(places)]
    where += [alert.c.first_at < before] if before else []
    where += [alert.c.site == site] if site else []
    return (await _some(connection, *where, most=most))[::-1]


async def row_of(connection: AsyncConnection, alert_id: int) -> Alert | None:
    """The row that an alert belongs to."""
    one = (await connection.execute(select(alert).where(alert.c.id == alert_id))).mappings().one_or_none()
    if one is None:
        return None
    same = [alert.c.id == alert_id]
    if one["person"]:
        same = [alert.c.person == one["person"], alert.c.site == one["site"], alert.c.kind == one["kind"]]
    found = await _some(connection, *same, most=_MOST_OPEN)
    return next((row for row in found if alert_id in row.ids), None)


async def acknowledge(connection: AsyncConnection, alert_id: int, by: str, now: datetime) -> Acknowledged | Taken:
    """Compare and set: of two who press at once, one gets it and the other is told who."""
    row = await row_of(connection, alert_id)
    if row is None:
        return Taken(None)
    values = {"state": State.ACKNOWLEDGED, "by": by, "by_at": now}
    if not await _set(connection, row, [State.OPEN], values, now):
        return Taken(await _by(connection, row.id))
    return Acknowledged(by)


async def resolve(
    connection: AsyncConnection,
    alert_id: int,
    outcome: Outcome,
    *,
    cause: Cause | None,
    note: str,
    by: str,
    now: datetime,
) -> Resolved | Taken:
    """Say what it came to. Whoever resolves what nobody had taken has taken it."""
    row = await row_of(connection, alert_id)
    if row is None:
        return Taken(None)
    values = {
        "state": State.RESOLVED,
        "by": func.coalesce(alert.c.by, by),
        "by_at": case((alert.c.by_at.is_(None), now), else_=alert.c.by_at),
        "outcome": outcome,
        "cause": cause,
        "note": note or None,
        "resolved_by": by,
        "resolved_at": now,
    }
    if not await _set(connection, row, [State.OPEN, State.ACKNOWLEDGED], values, now):
        found = await connection.execute(select(alert.c.resolved_by).where(alert.c.id == row.id))
        return Taken(found.scalar_one_or_none())
    return Resolved(row)


async def _set(
    connection: AsyncConnection, row: Alert, states: Sequence[State], values: dict[str, Any], now: datetime
) -> bool:
    """The first of a row decides who was quicker; the others follow it, and nobody outside is woken any more."""
    change = update(alert).where(alert.c.state.in_(states))
    if not (await connection.execute(change.where(alert.c.id == row.id).values(values))).rowcount:
        return False
    await connection.execute(change.where(alert.c.id.in_(row.joined)).values(values))
    await notify.take_back(connection, f"{BREACH}/{row.id}", now)
    return True


async def _by(connection: AsyncConnection, alert_id: int) -> str | None:
    return (await connection.execute(select(alert.c.by).where(alert.c.id == alert_id))).scalar_one_or_none()


async def is_due(connection: AsyncConnection, patience: Patience, now: datetime) -> bool:
    """Whether anything is to go further."""
    return any(
        rules.goes_to_second(one, patience, now) or rules.goes_out(one, patience, now)
        for one in await open_alerts(connection)
    )


async def escalate(connection: AsyncConnection, patience: Patience, now: datetime) -> bool:
    """What nobody has taken goes to a second screen, and then out of the browser; whether anything did. Of several
    centrals one does it.
    """
    went = False
    for one in await open_alerts(connection):
        if rules.goes_to_second(one, patience, now):
            went |= await _mark(connection, one, "second_at", now)
        if rules.goes_out(one, patience, now) and await _mark(connection, one, "out_at", now):
            went = True
            news = News(key=f"{BREACH}/{one.id}", kind=Kind.BREACH, place=one.site, words=_words(one, now))
            await notify.tell(connection, news, now)
    return went


async def _mark(connection: AsyncConnection, one: Alert, name: str, now: datetime) -> bool:
    mark = update(alert).where(alert.c.id == one.id, alert.c.state == State.OPEN, alert.c[name].is_(None))
    return bool((await connection.execute(mark.values({name: now}))).rowcount)


def _words(one: Alert, now: datetime) -> notify.Words:
    """What is known of it; a camera sees a body, never a name."""

    def words(lang: Lang) -> tuple[str, str]:
        title = text(lang, "alert.out_title", site=one.site, zone=one.place)
        minutes = max(int((now - one.raised_at).total_seconds()) // 60, 1)
        return title, text(lang, "alert.out_body", camera=one.camera, clock=clock(one.first_at), minutes=minutes)

    return words


async def zones(connection: AsyncConnection, now: datetime, places: Sequence[str] = ()) -> list[rules.Zone]:
    """What each zone's breaches came to."""
    place = alert.c.site, alert.c.camera, alert.c.place
    where = alert.c.kind == BREACH, alert.c.first_at > now - rules.FIGURES_OF, _within(places)
    came = alert.c.outcome, alert.c.cause
    counts = await connection.execute(select(*place, *came, func.count()).where(*where).group_by(*place, *came))
    resolved = alert.c.outcome.is_not(None)
    beyond = await connection.execute(
        select(*place, alert.c.outcome, alert.c.beyond).where(*where, resolved).limit(_MOST_FIGURES)
    )
    return rules.zones(
        (((row[0], row[1], row[2]), row[3], row[4], row[5]) for row in counts),
        (((row[0], row[1], row[2]), row[3], row[4]) for row in beyond),
    )


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
