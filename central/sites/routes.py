"""The first page: boxes and cameras, worst first, and the ways to the desks."""

from datetime import UTC, datetime, timedelta

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.service import places_here
from central.live import HEALTH
from central.sites import service
from models.view.feed import Feed
from models.view.page import lang_of


class Health:
    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        now = datetime.now(UTC)
        async with db.reading(self._engine) as connection:
            steps = await service.steps(connection, now - timedelta(days=1))
            edges = await service.edges(connection, places)
            cameras = await service.cameras(connection, places)
            gaps = {gap.box: gap for gap in reversed(await service.gaps(connection)) if gap.missing}
        return self._pages.get_template("health.html").render(
            lang=lang, edges=edges, cameras=cameras, gaps=gaps, steps=steps, now=now
        )


def routes(feed: Feed, pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    @router.get("/", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        lang = lang_of(request)
        return HTMLResponse(
            pages.get_template("desk.html").render(
                lang=lang,
                title="desk.health",
                live=f"/live?topics={HEALTH}&lang={lang}",
                state=await feed.state(HEALTH, lang, places_here()),
            )
        )

    return router
