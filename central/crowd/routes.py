"""The traffic desk's page: a tile for each counted street, the fullest first."""

from datetime import UTC, datetime

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.service import places_here
from central.crowd import service
from central.live import STREETS
from central.sites import service as sites
from models.view.feed import Feed
from models.view.page import lang_of


class Traffic:
    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        async with db.reading(self._engine) as connection:
            streets = [row for row in await service.streets(connection) if not places or row.site in places]
            cameras = [row for row in await sites.cameras(connection, places) if row.watch in {"traffic", ""}]
        seen = {(row.site, row.edge, row.camera) for row in cameras if row.seen}
        return self._pages.get_template("streets.html").render(
            lang=lang, streets=streets, cameras=cameras, seen=seen, now=datetime.now(UTC)
        )


def routes(feed: Feed, pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    @router.get("/traffic", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        lang = lang_of(request)
        return HTMLResponse(
            pages.get_template("desk.html").render(
                lang=lang,
                title="desk.traffic",
                live=f"/live?topics={STREETS}&lang={lang}",
                state=await feed.state(STREETS, lang, places_here()),
            )
        )

    return router
