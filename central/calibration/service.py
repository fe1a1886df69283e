"""The only door to counts by eye."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.calibration.tables import street_count
from central.history.rules import Zone

_MOST_KEPT = 20
"""Of one zone: a camera that is turned should not remember for ever."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    taken_at: datetime
    seen: int
    counted: float
    by: str
    at: datetime


def _mine(zone: Zone) -> list[Any]:
    names = ("site", "edge", "camera", "zone")
    return [street_count.c[name] == value for name, value in zip(names, zone, strict=True)]


async def counts(connection: AsyncConnection, zone: Zone) -> list[Counted]:
    """Newest first."""
    columns = [street_count.c[name] for name in Counted.__dataclass_fields__]
    rows = await connection.execute(select(*columns).where(*_mine(zone)).order_by(street_count.c.taken_at.desc()))
    return [Counted(**row) for row in rows.mappings()]


async def put(connection: AsyncConnection, zone: Zone, told: Counted) -> None:
    """One for each picture: counted again, the later word counts."""
    values = {name: getattr(told, name) for name in Counted.__dataclass_fields__}
    site, edge, camera, name = zone
    statement = db.insert(connection, street_count).values(site=site, edge=edge, camera=camera, zone=name, **values)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["site", "edge", "camera", "zone", "taken_at"],
            set_={name: statement.excluded[name] for name in ("seen", "counted", "by", "at")},
        )
    )
    kept = await counts(connection, zone)
    if len(kept) > _MOST_KEPT:
        await connection.execute(
            delete(street_count).where(*_mine(zone), street_count.c.taken_at <= kept[_MOST_KEPT].taken_at)
        )
