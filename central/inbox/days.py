"""The events' days: a partition each on PostgreSQL, and what is older than we may keep goes, provably."""

import logging
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.inbox.tables import dead_letter, event, purge
from central.sites import service as sites

_log = logging.getLogger(__name__)
_LOCK = 0x64617973
_AHEAD = timedelta(days=2)
_BACK = timedelta(days=40)
"""Days further away than these share one partition: a clock that is wrong by years makes no tables."""
_there: dict[str, set[date]] = {}


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def prepare(engine: AsyncEngine, days: AbstractSet[date], now: datetime) -> None:
    """See to it that each of these days has its partition. Costs nothing once a day is known."""
    if engine.dialect.name != "postgresql":
        return
    there = _there.setdefault(str(engine.url), set())
    missing = {day for day in days - there if now - _BACK < _start(day) < now + _AHEAD}
    for day in sorted(missing):
        name = f"event_{day:%Y%m%d}"
        try:
            async with db.writing(engine) as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                await connection.exec_driver_sql(
                    f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF event "
                    f"FOR VALUES FROM ('{_start(day)}') TO ('{_start(day + timedelta(days=1))}')"
                )
        except IntegrityError:
            _log.info("%s stays in the common partition: events of that day came before their table", day)
        there.add(day)


async def purge_before(engine: AsyncEngine, limit: date, now: datetime, *, since: datetime) -> int | None:
    """Delete events and dead letters of the days before `limit`. One row says what went and that nothing is left.

    None when there is such a row `since` then: another replica was here.
    """
    async with db.writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        done = await purged_at(connection)
        if done is not None and done >= since:
            return None
        events = await _count(connection, event, event.c.time, limit)
        letters = await _count(connection, dead_letter, dead_letter.c.received_at, limit)
        if connection.dialect.name == "postgresql":
            names = await connection.execute(
                text(
                    "SELECT relid::regclass::text FROM pg_partition_tree('event') "
                    "WHERE isleaf AND relid::regclass::text < :limit AND relid::regclass::text ~ '^event_[0-9]{8}$'"
                ),
                {"limit": f"event_{limit:%Y%m%d}"},
            )
            for name in names.scalars().all():
                await connection.exec_driver_sql(f"DROP TABLE {name}")
        await connection.execute(delete(event).where(event.c.time < _start(limit)))
        await connection.execute(delete(dead_letter).where(dead_letter.c.received_at < _start(limit)))
        missing = await sites.forget_seen(connection, _start(limit))
        left = await _count(connection, event, event.c.time, limit)
        left += await _count(connection, dead_letter, dead_letter.c.received_at, limit)
        await connection.execute(
            purge.insert().values(
                at=now, before=_start(limit), events=events, letters=letters, left=left, missing=missing
            )
        )
    if engine.dialect.name == "postgresql":
        _there.pop(str(engine.url), None)
    _log.info("purged %d events and %d dead letters of the days before %s; %d left", events, letters, limit, left)
    if missing:
        _log.warning("%d events of the days before %s never came and are no longer waited for", missing, limit)
    return events + letters


async def purged_at(connection: AsyncConnection) -> datetime | None:
    """When the last purge was."""
    row = await connection.execute(select(purge.c.at).order_by(purge.c.at.desc()).limit(1))
    return row.scalar_one_or_none()


async def _count(connection: AsyncConnection, table: Any, column: Any, limit: date) -> int:
    counted = await connection.execute(select(func.count()).select_from(table).where(column < _start(limit)))
    number: int = counted.scalar_one()
    return number
