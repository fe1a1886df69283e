"""The clock: what is due whether anybody asks or not. One replica does it, the others find it done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from central.inbox import days

_log = logging.getLogger(__name__)
_PURGE_AT = time(20, tzinfo=UTC)
"""Three in the morning in Hanoi."""


async def purge(engine: AsyncEngine, keep_days: int, now: datetime) -> int | None:
    """The night's purge, once a night; how much went, None when it was done already."""
    night = datetime.combine(now.date(), _PURGE_AT)
    night -= timedelta(days=now < night)
    return await days.purge_before(engine, (now - timedelta(days=keep_days)).date(), now, since=night)


async def run(engine: AsyncEngine, keep_days: int, *, every_seconds: float = 60.0) -> None:
    """Each due thing in turn, for ever; what fails is tried again on the next round."""
    due: tuple[Callable[[], Awaitable[object]], ...] = (lambda: purge(engine, keep_days, datetime.now(UTC)),)
    while True:
        for one in due:
            try:
                await one()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("a round was not made (%s); trying again", type(error).__name__)
        await asyncio.sleep(every_seconds)
