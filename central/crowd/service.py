"""The only door to the streets: the newest level and the newest count of each counted zone."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Table, case, delete, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.crowd import rules
from central.crowd.load import Feature
from central.crowd.rules import State, Warned
from central.crowd.tables import (
    street_district,
    street_level,
    street_measure,
    street_place,
    street_warning,
    street_zone,
)
from central.notify import service as notify
from central.notify.rules import Kind
from central.notify.service import News
from models.limits import Limits
from models.view.page import Lang, clock, text
from models.wire.events import Counts, CrowdLevel, CrowdMeasured, Event

_KEY = ("site", "edge", "camera", "zone", "epoch")


@dataclass(frozen=True, kw_only=True)
class Street:
    """A counted zone as it was last told. `level` is None while counting is paused or nothing was said yet."""

    site: str
    edge: str
    camera: str
    zone: str
    level: int | None
    since: datetime | None
    told: str
    """The counts as JSON."""
    low: int | None
    high: int | None
    density: float | None
    flow_in: float | None
    flow_out: float | None
    basis: str | None
    at: datetime

    @property
    def counts(self) -> Counts:
        return msgspec.json.decode(self.told, type=Counts)

    @property
    def vehicles(self) -> int:
        counts = self.counts
        return counts.motorbike + counts.bicycle + counts.car + counts.bus + counts.truck


async def _newest(connection: AsyncConnection, table: Table, told: Sequence[dict[str, Any]]) -> None:
    """Of many rows the newest of each zone, written in the order of their keys: two replicas never wait in a ring."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in told:
        key = tuple(values[name] for name in _KEY)
        if key not in newest or newest[key]["sequence"] < values["sequence"]:
            newest[key] = values
    statement = db.insert(connection, table)
    await db.write_many(
        connection,
        statement.on_conflict_do_update(
            index_elements=list(_KEY),
            set_={name: statement.excluded[name] for name in told[0] if name not in _KEY},
            where=statement.excluded.sequence > table.c.sequence,
        ),
        [newest[key] for key in sorted(newest)],
    )


def _common(event: Event, zone: str, counts: Counts) -> dict[str, Any]:
    return {
        "site": event.site,
        "edge": event.edge,
        "camera": event.camera,
        "zone": zone,
        "epoch": event.epoch,
        "sequence": event.sequence,
        "counts": msgspec.json.encode(counts).decode(),
        "at": event.time,
    }


async def record_levels(connection: AsyncConnection, told: Sequence[tuple[Event, CrowdLevel]]) -> None:
    await _newest(
        connection,
        street_level,
        [
            _common(event, level.zone, level.counts)
            | {"level": None if level.level == "paused" else level.level, "since": event.time}
            for event, level in told
        ],
    )


async def record_measures(connection: AsyncConnection, told: Sequence[tuple[Event, CrowdMeasured]]) -> None:
    await _newest(
        connection,
        street_measure,
        [
            _common(event, measure.zone, measure.counts)
            | {
                "low": measure.low,
                "high": measure.high,
                "density": None if measure.density is UNSET else measure.density,
                "flow_in": None if measure.flow is UNSET else measure.flow.in_,
                "flow_out": None if measure.flow is UNSET else measure.flow.out,
                "basis": measure.basis,
            }
            for event, measure in told
        ],
    )


Zone = tuple[str, str, str, str]
"""Site, box, camera, zone."""


async def levels(connection: AsyncConnection) -> dict[Zone, int | None]:
    """Of every counted zone, and nothing else of it: what a city's wall is sorted by, many times a second."""
    found: dict[Zone, int | None] = {}
    for site, edge, camera, zone in await connection.execute(select(*(street_measure.c[n] for n in _KEY[:4]))):
        found[site, edge, camera, zone] = None
    told = [street_level.c[name] for name in (*_KEY[:4], "level")]
    rows = await connection.execute(select(*told).order_by(street_level.c.at, street_level.c.epoch))
    for site, edge, camera, zone, level in rows:
        found[site, edge, camera, zone] = level
    return found


async def streets(connection: AsyncConnection, only: Collection[Zone] | None = None) -> list[Street]:
    """The fullest first, then by place; all of them or these."""

    async def newest(table: Table) -> dict[Zone, Any]:
        # Of a box whose outbox was changed, the row of the outbox that spoke last comes last and stays.
        query = select(table).order_by(table.c.at, table.c.epoch)
        for place, name in enumerate(_KEY[:4] if only is not None else ()):
            query = query.where(table.c[name].in_({zone[place] for zone in only or ()}))
        rows = (await connection.execute(query)).mappings()
        every = {(row["site"], row["edge"], row["camera"], row["zone"]): row for row in rows}
        return every if only is None else {zone: row for zone, row in every.items() if zone in only}

    newest_level, measures = await newest(street_level), await newest(street_measure)
    found = []
    for key in newest_level.keys() | measures.keys():
        level, measure = newest_level.get(key), measures.get(key)
        latest = max((row for row in (level, measure) if row is not None), key=lambda row: row["at"])
        site, edge, camera, zone = key
        found.append(
            Street(
                site=site,
                edge=edge,
                camera=camera,
                zone=zone,
                level=level["level"] if level else None,
                since=level["since"] if level else None,
                told=latest["counts"],
                low=measure["low"] if measure else None,
                high=measure["high"] if measure else None,
                density=measure["density"] if measure else None,
                flow_in=measure["flow_in"] if measure else None,
                flow_out=measure["flow_out"] if measure else None,
                basis=measure["basis"] if measure else None,
                at=latest["at"],
            )
        )
    return sorted(found, key=lambda s: (-1 if s.level is None else -s.level - 10, s.site, s.camera, s.zone))


# ---- districts and their warnings

FRESH = timedelta(minutes=10)
"""An older level is history: it is shown and warns nobody."""


async def put_streets(connection: AsyncConnection, features: Sequence[Feature]) -> None:
    """All streets anew; open warnings stay until their level falls."""
    await connection.execute(delete(street_zone))
    await connection.execute(delete(street_place))
    await connection.execute(delete(street_district))
    for feature in features:
        known = feature.properties
        if known.street is None:
            outline = {"district": known.district, "geometry": json.dumps(feature.geometry)}
            await connection.execute(street_district.insert().values(outline))
            continue
        values = {"street": known.street, "district": known.district, "geometry": json.dumps(feature.geometry)}
        await connection.execute(street_place.insert().values(values))
        for name in known.zones:
            site, camera, zone = name.split("/")
            await connection.execute(
                street_zone.insert().values(site=site, camera=camera, zone=zone, street=known.street)
            )


async def warn(connection: AsyncConnection, told: Sequence[Event], now: datetime, limits: Limits | None = None) -> bool:
    """Once levels are recorded: one open warning for each crowded street, none for a calm one; whether any changed.
    Whoever is to hear of a district's streets outside the browser is told of each new and each worse one, once, with
    what `limits` recommends.
    """
    cameras = {(event.site, event.camera) for event in told}
    sites = {site for site, _ in cameras}
    rows = await connection.execute(select(street_zone).where(street_zone.c.site.in_(sites)))
    touched = {row.street for row in rows if (row.site, row.camera) in cameras}
    changed = False
    for street in sorted(touched):
        changed |= await _judge(connection, street, now, limits)
    return changed


async def _judge(connection: AsyncConnection, street: str, now: datetime, limits: Limits | None) -> bool:
    joined = street_level.join(
        street_zone,
        (street_level.c.site == street_zone.c.site)
        & (street_level.c.camera == street_zone.c.camera)
        & (street_level.c.zone == street_zone.c.zone),
    )
    rows = await connection.execute(
        select(street_level.c.site, street_level.c.camera, street_level.c.zone, street_level.c.level, street_level.c.at)
        .select_from(joined)
        .where(street_zone.c.street == street)
        .order_by(street_level.c.at, street_level.c.epoch)
    )
    newest = {(row.site, row.camera, row.zone): (row.level, row.at) for row in rows}
    level = rules.level_of(level for level, _ in newest.values())
    if level is None:
        return False
    if level < rules.CROWDED:
        closed = update(street_warning).where(street_warning.c.street == street, street_warning.c.closed_at.is_(None))
        return bool((await connection.execute(closed.values(closed_at=now))).rowcount)
    since = min(at for one, at in newest.values() if one is not None and one >= rules.CROWDED)
    if now - max(at for one, at in newest.values() if one == level) > FRESH:
        return False
    district = await connection.execute(select(street_place.c.district).where(street_place.c.street == street))
    statement = db.insert(connection, street_warning).values(
        street=street, district=district.scalar_one(), level=level, first_at=since, state=State.SENT
    )
    worse = statement.excluded.level > street_warning.c.level
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["street"],
            index_where=street_warning.c.closed_at.is_(None),
            # what gets worse is sent again, whatever was answered to the lesser
            set_={
                "level": statement.excluded.level,
                "state": case((worse, State.SENT), else_=street_warning.c.state),
            },
        )
    )
    opened = await connection.execute(
        select(*(street_warning.c[name] for name in Warned.__dataclass_fields__)).where(
            street_warning.c.street == street, street_warning.c.closed_at.is_(None)
        )
    )
    one = Warned(**opened.mappings().one())
    if one.state == State.SENT:
        news = News(key=f"street/{one.id}/{one.level}", kind=Kind.STREET, place=one.district, words=_words(one, limits))
        await notify.tell(connection, news, now)
    return True


def _words(one: Warned, limits: Limits | None) -> notify.Words:
    def words(lang: Lang) -> tuple[str, str]:
        level = text(lang, f"desk.level_{one.level}")
        action = next((a for known, a in limits.actions.items() if int(known) == one.level), None) if limits else None
        advice = text(lang, "crowd.out_advice", action=getattr(action, lang)) if action else ""
        title = text(lang, "crowd.out_title", street=one.street, district=one.district, level=level)
        return title, text(lang, "crowd.out_body", level=level, clock=clock(one.first_at), advice=advice).strip()

    return words


def _at(places: Sequence[str]) -> Any:
    within = select(street_zone.c.street).where(street_zone.c.site.in_(places))
    return street_warning.c.street.in_(within) if places else true()


async def open_warnings(connection: AsyncConnection, places: Sequence[str] = ()) -> list[Warned]:
    """The worst first, then who waits longest."""
    rows = await connection.execute(
        select(*(street_warning.c[name] for name in Warned.__dataclass_fields__))
        .where(street_warning.c.closed_at.is_(None), _at(places))
        .order_by(street_warning.c.level.desc(), street_warning.c.first_at, street_warning.c.id)
    )
    return [Warned(**row) for row in rows.mappings()]


async def answer(
    connection: AsyncConnection, warning: int, state: State, *, by: str, note: str, now: datetime, places: Sequence[str]
) -> bool:
    """Compare and set; False when it stands elsewhere by now, or is none of theirs."""
    changed = await connection.execute(
        update(street_warning)
        .where(
            street_warning.c.id == warning,
            street_warning.c.closed_at.is_(None),
            street_warning.c.state.in_(rules.sources(state)),
            _at(places),
        )
        .values(state=state, by=by, by_at=now, note=note or None)
    )
    return bool(changed.rowcount)


async def warnings_of(
    connection: AsyncConnection, since: datetime, until: datetime, places: Sequence[str] = ()
) -> list[tuple[Warned, datetime | None]]:
    """Those that began then, and when each was closed; oldest first."""
    columns = [street_warning.c[name] for name in Warned.__dataclass_fields__]
    rows = await connection.execute(
        select(*columns, street_warning.c.closed_at)
        .where(street_warning.c.first_at >= since, street_warning.c.first_at < until, _at(places))
        .order_by(street_warning.c.first_at, street_warning.c.id)
    )
    return [
        (Warned(**{name: row[name] for name in Warned.__dataclass_fields__}), row["closed_at"])
        for row in rows.mappings()
    ]


async def forget_warnings(connection: AsyncConnection, before: datetime) -> int:
    """Those that were closed before it go; how many."""
    gone = await connection.execute(delete(street_warning).where(street_warning.c.closed_at < before))
    return gone.rowcount


async def plan(connection: AsyncConnection) -> rules.Plan:
    """The city as it was imported."""
    streets = await connection.execute(select(street_place).order_by(street_place.c.street))
    outlines = await connection.execute(select(street_district))
    return rules.plan(
        [(row.street, row.district, json.loads(row.geometry)) for row in streets],
        {row.district: json.loads(row.geometry) for row in outlines},
    )


async def districts(connection: AsyncConnection) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Of each counted zone (site, camera, zone) its street and its district."""
    rows = await connection.execute(
        select(street_zone, street_place.c.district).join(street_place, street_place.c.street == street_zone.c.street)
    )
    return {(row.site, row.camera, row.zone): (row.street, row.district) for row in rows}
