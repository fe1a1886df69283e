"""What screens follow. A topic is one part of a page, with the whole state of that part.

Several centrals share one database, and a screen may hang on any of them: what one commits, the others' screens hear
of. The news is only that something has changed; each reads the state itself.
"""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from models.view.feed import Feed, Render
from models.view.page import lang_of

_log = logging.getLogger(__name__)

ALERTS = "alerts"
DUTY = "duty"
"""What nobody has taken in time: the second screen. Changes with the alerts, and with the clock."""
STREETS = "streets"
HEALTH = "health"
QUARANTINE = "quarantine"
"""Changes with the alerts: a walk in trial is a breach too."""
RECIPIENTS = "recipients"
IMPORTS = "imports"
OVERVIEW = "overview"
"""Changes with each of the others."""

_CHANNEL = "cua_o_live"
_GATHER_S = 0.1
"""A NOTIFY takes a lock at its commit, so it is sent seldom and never within an event's own transaction."""
_POLL_S = 0.5
_WALL_PACE_S = 0.1
"""Two thousand streets tell of something many times a second."""
_RETRY_S = 2.0


async def desk(
    feed: Feed,
    pages: jinja2.Environment,
    request: Request,
    *,
    topic: str,
    title: str,
    places: tuple[str, ...],
    template: str = "desk.html",
    **more: Any,
) -> HTMLResponse:
    """A desk's page: the topic's present state, and where the page hears of the next one."""
    lang = lang_of(request)
    told = {"title": title, "live": f"/live?topics={quote(topic)}&lang={lang}"}
    state = await feed.state(topic, lang, places)
    return HTMLResponse(pages.get_template(template).render(lang=lang, state=state, **told, **more))


class Screens(Feed):
    """A feed whose touches reach the screens of the other replicas too. `run` it beside the server."""

    def __init__(self, topics: Mapping[str, Render], engine: AsyncEngine) -> None:
        super().__init__(topics, views={STREETS}, paces={STREETS: _WALL_PACE_S})
        self._engine = engine
        self._me = secrets.token_hex(4)
        self._pending: set[str] = set()
        self._news = asyncio.Event()

    def touch(self, topic: str) -> None:
        super().touch(topic)
        self._pending.add(topic)
        for follower in (OVERVIEW, *((DUTY, QUARANTINE) if topic == ALERTS else ())):
            if follower in self._versions:
                super().touch(follower)
                self._pending.add(follower)
        self._in_loop(self._news.set)

    async def run(self) -> None:
        """Tell and hear for ever; while the database is away, again and again."""
        work = (self._tell, self._hear) if self._engine.dialect.name == "postgresql" else (self._look,)
        await asyncio.gather(*(self._insist(one) for one in work))

    async def _insist(self, work: Any) -> None:
        while True:
            try:
                await work()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("screens hear nothing from other centrals (%s); trying again", type(error).__name__)
            await asyncio.sleep(_RETRY_S)

    def _changed(self, topics: Any) -> None:
        for topic in topics:
            if topic in self._versions:
                super().touch(topic)

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            self._news.clear()
            told, self._pending = " ".join([self._me, *sorted(self._pending)]), set()
            async with db.writing(self._engine) as connection:
                await connection.execute(text("SELECT pg_notify(:channel, :told)"), {"channel": _CHANNEL, "told": told})

    async def _hear(self) -> None:
        async with self._engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            ended = asyncio.Event()
            driver.add_termination_listener(lambda _driver: ended.set())
            await driver.add_listener(_CHANNEL, self._heard)
            self._changed(list(self._versions))  # whatever was said meanwhile
            await ended.wait()
            await connection.invalidate()

    def _heard(self, _driver: object, _process: int, _channel: str, told: str) -> None:
        who, *topics = told.split()
        if who != self._me:
            self._changed(topics)

    async def _look(self) -> None:
        """SQLite has no NOTIFY: its file says that another connection has written."""
        async with self._engine.connect() as connection:
            was = None
            while True:
                version = (await connection.exec_driver_sql("PRAGMA data_version")).scalar_one()
                await connection.rollback()
                if was is not None and version != was:
                    self._changed(list(self._versions))
                was = version
                await asyncio.sleep(_POLL_S)
