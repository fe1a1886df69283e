"""The only door to the streets: the newest level and the newest count of each counted zone."""

from collections.abc import Sequence
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
