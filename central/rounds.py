"""The clock: what is due whether anybody asks or not. One replica does it, the others find it done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service as alerts
from central.alerts.rules import Patience
from central.auth import service as auth
from central.crowd import service as crowd
from central.evidence import Evidence
from central.history import service as history
from central.history.service import Keep
from central.inbox import days
from central.keys import Keys
from central.live import ALERTS, RECIPIENTS
from central.notify import service as notify
from central.settings import CentralSettings
from central.sites import service as sites

_log = logging.getLogger(__name__)
_PURGE_AT = time(20, tzinfo=UTC)
"""Three in the morning in Hanoi."""


def night_of(now: datetime) -> datetime:
    """When the last night's purge was due."""
    night = datetime.combine(now.date(), _PURGE_AT)
    return night - timedelta(days=now < night)


async def purge(engine: AsyncEngine, keep_days: int, now: datetime) -> int | None:
    """The night's purge, once a night; how much went, None when it was done already."""
    return await days.purge_before(engine, (now - timedelta(days=keep_days)).date(), now, since=night_of(now))


async def purge_evidence(engine: AsyncEngine, evidence: Evidence, keep_days: int, now: datetime) -> int:
    """Pictures and films that nobody may keep any longer; the audit log says how many went and that none is left."""
    gone, left = await asyncio.to_thread(evidence.purge, now - timedelta(days=keep_days))
    if gone:
        async with db.writing(engine) as connection:
            why = f"older than {keep_days} days"
            await auth.note(connection, who="rounds", what="evidence purged", why=why, outcome=f"{gone}, left {left}")
    return gone


Step = Callable[[datetime], Awaitable[object]]


async def run(
    engine: AsyncEngine, settings: CentralSettings, keys: Keys, evidence: Evidence, touch: Callable[[str], None]
) -> None:
    """What is due each minute and each second, for ever. `touch` hears which screens have news."""
    keep = Keep(minute_days=settings.keep_minutes_days, hour_days=settings.keep_hours_days)
    patience = Patience(
        second=timedelta(seconds=settings.second_screen_seconds), out=timedelta(seconds=settings.out_seconds)
    )

    purged_on: datetime | None = None

    async def forget(now: datetime) -> None:
        nonlocal purged_on
        if purged_on != night_of(now):
            await purge_evidence(engine, evidence, settings.keep_days, now)
            purged_on = night_of(now)

    async def escalate(now: datetime) -> None:
        async with db.reading(engine) as connection:  # a writer would hold the others up, each second
            if not await alerts.is_due(connection, patience, now):
                return
        async with db.writing(engine) as connection:
            went = await alerts.escalate(connection, patience, now)
        if went:
            touch(ALERTS)

    async def deliver(_now: datetime) -> None:
        while await notify.deliver(engine, keys, lambda: datetime.now(UTC)):
            touch(RECIPIENTS)

    await asyncio.gather(
        _every(
            60.0,
            lambda now: purge(engine, settings.keep_days, now),
            lambda now: history.purge(engine, keep, now, since=night_of(now), warnings=crowd.forget_warnings),
            lambda _now: sites.fold_seen(engine),
            lambda now: sites.purge(engine, now - timedelta(days=settings.keep_days)),
            lambda now: notify.purge(engine, now - timedelta(days=settings.keep_days)),
            forget,
        ),
        _every(1.0, escalate, deliver),
    )


async def _every(seconds: float, *due: Step) -> None:
    """Each in turn; what fails is tried again on the next round."""
    while True:
        for one in due:
            try:
                await one(datetime.now(UTC))
            except (SQLAlchemyError, OSError) as error:
                _log.warning("a round was not made (%s); trying again", type(error).__name__)
        await asyncio.sleep(seconds)
