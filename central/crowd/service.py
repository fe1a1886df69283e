"""The only door to the streets: the newest level and the newest count of each counted zone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.crowd.tables import street_level, street_measure
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
    counts: Counts
    low: int | None
    high: int | None
    density: float | None
    flow_in: float | None
    flow_out: float | None
    basis: str | None
    at: datetime

    @property
    def vehicles(self) -> int:
        counts = self.counts
        return counts.motorbike + counts.bicycle + counts.car + counts.bus + counts.truck


async def _newest(connection: AsyncConnection, table: Table, values: dict[str, Any]) -> None:
    statement = db.insert(connection, table).values(values)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(_KEY),
            set_={name: statement.excluded[name] for name in values if name not in _KEY},
            where=statement.excluded.sequence > table.c.sequence,
        )
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


async def record_level(connection: AsyncConnection, event: Event, told: CrowdLevel) -> None:
    level = None if told.level == "paused" else told.level
    values = _common(event, told.zone, told.counts) | {"level": level, "since": event.time}
    await _newest(connection, street_level, values)


async def record_measure(connection: AsyncConnection, event: Event, told: CrowdMeasured) -> None:
    values = _common(event, told.zone, told.counts) | {
        "low": told.low,
        "high": told.high,
        "density": None if told.density is UNSET else told.density,
        "flow_in": None if told.flow is UNSET else told.flow.in_,
        "flow_out": None if told.flow is UNSET else told.flow.out,
        "basis": told.basis,
    }
    await _newest(connection, street_measure, values)


async def streets(connection: AsyncConnection) -> list[Street]:
    """The fullest first, then by place."""

    async def newest(table: Table) -> dict[tuple[str, ...], Any]:
        # Of a box whose outbox was changed, the row of the outbox that spoke last comes last and stays.
        rows = await connection.execute(select(table).order_by(table.c.at, table.c.epoch))
        return {tuple(row[name] for name in _KEY[:4]): row for row in rows.mappings()}

    levels, measures = await newest(street_level), await newest(street_measure)
    found = []
    for key in levels.keys() | measures.keys():
        level, measure = levels.get(key), measures.get(key)
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
                counts=msgspec.json.decode(latest["counts"], type=Counts),
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
