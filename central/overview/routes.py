"""The command centre's page."""

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service as alerts
from central.auth.service import places_here
from central.crowd import service as crowd
from central.live import OVERVIEW
from central.overview.rules import places as by_place
from central.sites import service as sites
from models.view.feed import Feed
from models.view.page import lang_of

_CROWDED = 3


class Overview:
    """Reads the open state, whole, each time; holds nothing."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        async with db.reading(self._engine) as connection:
            waiting = await alerts.open_alerts(connection, places)
            cameras = await sites.cameras(connection, places)
            boxes = await sites.edges(connection, places)
            streets = [row for row in await crowd.streets(connection) if not places or row.site in places]
        rows = by_place(
            [(row.site, row.first_at) for row in waiting],
            [(row.site, row.seen) for row in cameras],
            [(row.site, row.online) for row in boxes],
            [(row.site, row.level is not None and row.level >= _CROWDED) for row in streets],
        )
        return self._pages.get_template("overview.html").render(lang=lang, places=rows, cameras=cameras)


def routes(feed: Feed, pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    @router.get("/overview", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        lang = lang_of(request)
        return HTMLResponse(
            pages.get_template("desk.html").render(
                lang=lang,
                title="overview.title",
                live=f"/live?topics={OVERVIEW}&lang={lang}",
                state=await feed.state(OVERVIEW, lang, places_here()),
            )
        )

    return router
