"""The only door to incidents: somebody left a zone, or entered one that is closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.alerts import service as alerts
from central.alerts.rules import Alert
from central.keys import Keys
from central.quarantine import rules
from central.quarantine.rules import Proof, Walk
from central.quarantine.tables import escort, incident, stay, walk, walk_proof
from central.registry import service as registry
from central.registry.rules import Line
from models.wire.events import Event, ZoneBreached
from models.wire.topics import Box

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
    if breach.quiet == "trial" and breach.phase == "open":
        await _prove(connection, event, breach)
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


# Stays and their orders


@dataclass(frozen=True, kw_only=True)
class Stay:
    """Who has to be at a site. Masked: the desk knows whom it means by room, initials and three digits."""

    id: int
    room: str
    holder: str
    from_: datetime
    until: datetime | None


async def admit(
    connection: AsyncConnection,
    resident: bytes,
    *,
    site: str,
    room: str,
    from_: datetime,
    until: datetime | None,
    by: str,
    now: datetime,
) -> int:
    """The stay, and the order that every gate learns of: this person has to be there."""
    values = {"site": site, "room": room, "resident": resident, "from": from_, "until": until, "by": by}
    made = await connection.execute(stay.insert().values(values).returning(stay.c.id))
    number: int = made.scalar_one()
    await registry.write(
        connection, resident, [Line("order_active", site, from_, until)], source=f"stay {number}: {by}", now=now
    )
    return number


async def release(connection: AsyncConnection, number: int, *, by: str, now: datetime) -> bytes | None:
    """The stay is over and its order with it. Who it was; None when it is over already."""
    over = update(stay).where(stay.c.id == number, stay.c.ended_at.is_(None)).values(ended_at=now, ended_by=by)
    resident: bytes | None = (await connection.execute(over.returning(stay.c.resident))).scalar_one_or_none()
    if resident is not None:
        # another stay's order may be the newer one: only its own is taken back
        others = select(stay.c.id).where(stay.c.resident == resident, stay.c.ended_at.is_(None))
        if (await connection.execute(others)).first() is None:
            line = Line("order_active", None, now)
            await registry.write(connection, resident, [line], source=f"stay {number} ended: {by}", now=now)
    return resident


async def site_of_stay(connection: AsyncConnection, number: int) -> str | None:
    return (await connection.execute(select(stay.c.site).where(stay.c.id == number))).scalar_one_or_none()


async def stays(connection: AsyncConnection, site: str, now: datetime) -> list[Stay]:
    """Who has to be there now, by room."""
    here = stay.c.site == site, stay.c.ended_at.is_(None), or_(stay.c.until.is_(None), stay.c.until > now)
    rows = (await connection.execute(select(stay).where(*here).order_by(stay.c.room, stay.c.id))).mappings().all()
    known = await registry.shown(connection, [row["resident"] for row in rows])
    return [
        Stay(
            id=row["id"],
            room=row["room"],
            holder=known.get(row["resident"], "?"),
            from_=row["from"],
            until=row["until"],
        )
        for row in rows
    ]


async def in_room(connection: AsyncConnection, site: str, room: str, now: datetime) -> list[bytes]:
    """Who has to be in this room; one alone may be meant without a number."""
    here = stay.c.site == site, stay.c.ended_at.is_(None), or_(stay.c.until.is_(None), stay.c.until > now)
    query = select(stay.c.resident).where(*here, func.lower(stay.c.room) == room.lower()).distinct()
    return list((await connection.execute(query)).scalars())


async def occupants(connection: AsyncConnection, now: datetime) -> dict[str, int]:
    """How many have to be at each site."""
    here = stay.c.ended_at.is_(None), or_(stay.c.until.is_(None), stay.c.until > now)
    rows = await connection.execute(select(stay.c.site, func.count()).where(*here).group_by(stay.c.site))
    return {row[0]: row[1] for row in rows}


# Walk tests


async def start_walk(connection: AsyncConnection, box: Box, camera: str, *, by: str, now: datetime) -> None:
    await connection.execute(walk.insert().values(site=box.site, edge=box.edge, camera=camera, by=by, started_at=now))


async def _prove(connection: AsyncConnection, event: Event, breach: ZoneBreached) -> None:
    """Somebody has crossed a line in trial: the walk that goes on has shown that this zone tells."""
    going = (
        select(walk.c.id)
        .where(
            walk.c.site == event.site,
            walk.c.edge == event.edge,
            walk.c.camera == event.camera,
            walk.c.started_at <= event.time,
            walk.c.started_at > event.time - rules.WALK_WITHIN,
        )
        .order_by(walk.c.started_at.desc())
        .limit(1)
    )
    number = (await connection.execute(going)).scalar_one_or_none()
    if number is None:
        return
    proof = db.insert(connection, walk_proof).values(
        walk=number, zone=breach.zone, at=event.time, evidence=event.dataref or ""
    )
    await connection.execute(proof.on_conflict_do_nothing())


async def walks(connection: AsyncConnection, places: Sequence[str] = ()) -> dict[tuple[str, str, str], Walk]:
    """Of each camera (site, edge, camera) the newest walk that has shown something, else the newest."""
    shown = select(walk, walk_proof.c.zone, walk_proof.c.at, walk_proof.c.evidence)
    query = shown.join(walk_proof, walk_proof.c.walk == walk.c.id, isouter=True).order_by(walk.c.started_at)
    if places:
        query = query.where(walk.c.site.in_(places))
    found: dict[tuple[str, str, str], Walk] = {}
    for row in (await connection.execute(query)).mappings():
        key = row["site"], row["edge"], row["camera"]
        last = found.get(key)
        proofs = {} if row["zone"] is None else {row["zone"]: Proof(at=row["at"], evidence=row["evidence"])}
        if last is not None and last.started_at == row["started_at"]:
            proofs = dict(last.proofs) | proofs
        elif last is not None and last.proofs and not proofs:
            continue
        found[key] = Walk(
            site=row["site"],
            edge=row["edge"],
            camera=row["camera"],
            by=row["by"],
            started_at=row["started_at"],
            proofs=proofs,
        )
    return found


# Escorts


@dataclass(frozen=True, kw_only=True)
class Escort:
    zone: str
    until: datetime
    why: str
    by: str


async def permit(
    connection: AsyncConnection, box: Box, camera: str, zone: str, *, until: datetime, why: str, by: str
) -> None:
    """The box has been told; the last word counts."""
    statement = db.insert(connection, escort).values(
        site=box.site, edge=box.edge, camera=camera, zone=zone, until=until, why=why, by=by
    )
    changing = {name: statement.excluded[name] for name in ("until", "why", "by")}
    key = ["site", "edge", "camera", "zone"]
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changing))


async def escorts(connection: AsyncConnection, now: datetime) -> dict[tuple[str, str, str], list[Escort]]:
    """Of each camera those that stand."""
    rows = await connection.execute(select(escort).where(escort.c.until > now).order_by(escort.c.zone))
    found: dict[tuple[str, str, str], list[Escort]] = {}
    for row in rows.mappings():
        one = Escort(zone=row["zone"], until=row["until"], why=row["why"], by=row["by"])
        found.setdefault((row["site"], row["edge"], row["camera"]), []).append(one)
    return found
