"""The only door to boxes and cameras."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.sites import rules
from central.sites.rules import CameraRow, EdgeRow
from central.sites.tables import camera_health, camera_status, edge
from models.wire.events import CameraStatus, EdgeState, Event
from models.wire.topics import Box


async def record_state(
    connection: AsyncConnection, box: Box, told: EdgeState, received_at: datetime, *, replayed: bool
) -> None:
    """A box's birth, heartbeat or last will. `replayed`: the broker had kept it, so it says nothing of the clock."""
    mine = (edge.c.site == box.site, edge.c.edge == box.edge)
    known = (await connection.execute(select(edge).where(*mine))).mappings().one_or_none()
    if rules.outdated(told.state, told.boot, known["boot"] if known else None):
        return
    values: dict[str, Any] = {"boot": told.boot, "state": told.state, "at": received_at}
    if told.at is not UNSET:
        values["at"] = told.at if replayed else received_at
        if not replayed:
            values["skew"] = (told.at - received_at).total_seconds()
    if told.waiting is not UNSET:
        values["waiting"] = told.waiting
    if told.version is not UNSET:
        values["version"] = told.version
    statement = db.insert(connection, edge).values(site=box.site, edge=box.edge, **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["site", "edge"], set_=values))
    if told.cameras is UNSET:
        return
    for name, health in told.cameras.items():
        row = {
            "state": health.state,
            "reason": health.reason,
            "watch": health.watch,
            "mode": health.mode,
            "since": health.since,
            "at": received_at if told.at is UNSET else told.at,
        }
        upsert = db.insert(connection, camera_health).values(site=box.site, edge=box.edge, camera=name, **row)
        await connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["site", "edge", "camera"], set_=row, where=upsert.excluded.at >= camera_health.c.at
            )
        )


async def record_status(connection: AsyncConnection, event: Event, told: CameraStatus) -> None:
    """One new camera.status, in any order."""
    row = {"state": told.state, "reason": told.reason, "at": event.time, "sequence": event.sequence}
    statement = db.insert(connection, camera_status).values(
        site=event.site, edge=event.edge, camera=told.camera, epoch=event.epoch, **row
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["site", "edge", "camera", "epoch"],
            set_=row,
            where=statement.excluded.sequence > camera_status.c.sequence,
        )
    )


async def edges(connection: AsyncConnection, places: Sequence[str] = ()) -> list[EdgeRow]:
    """Offline ones first, then by place. No places: the whole city."""
    rows = [EdgeRow(**row) for row in (await connection.execute(select(edge))).mappings()]
    rows = [row for row in rows if not places or row.site in places]
    return sorted(rows, key=lambda row: (row.online, row.site, row.edge))


async def cameras(connection: AsyncConnection, places: Sequence[str] = ()) -> list[CameraRow]:
    """Every camera that a box has ever told of, as it was last told: unseen ones first, then by place."""
    boxes = {(row.site, row.edge): row.state for row in await edges(connection)}
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for health in (await connection.execute(select(camera_health))).mappings():
        told = dict(health)
        del told["since"]
        rows[health["site"], health["edge"], health["camera"]] = told
    statuses = await connection.execute(select(camera_status).order_by(camera_status.c.at, camera_status.c.epoch))
    for status in statuses.mappings():
        row = rows.setdefault(
            (status["site"], status["edge"], status["camera"]),
            {name: status[name] for name in ("site", "edge", "camera", "state", "reason", "at")}
            | {"watch": "", "mode": ""},
        )
        if status["at"] >= row["at"]:
            row |= {name: status[name] for name in ("state", "reason", "at")}
    found = [
        CameraRow(**row, seen=rules.seen(row["state"], boxes.get((row["site"], row["edge"]))))
        for row in rows.values()
        if not places or row["site"] in places
    ]
    return sorted(found, key=lambda row: (row.seen, row.site, row.edge, row.camera))
