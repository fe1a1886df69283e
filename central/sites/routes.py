"""The first page: boxes and cameras, worst first, and the ways to the desks; the installer's calculator."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.service import places_here
from central.live import HEALTH, desk
from central.sites import service
from models.optics import SYMBOLS, Prospect, View, prospect
from models.view.feed import Feed
from models.view.page import lang_of

Width = Annotated[int, Query(ge=160, le=16_000, description="Of the picture, pixels.")]
Lens = Annotated[float, Query(ge=1, le=170, description="Horizontal angle of view, degrees.")]
Distance = Annotated[float, Query(ge=0.05, le=50, description="From the lens to the code, metres.")]


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
    router.include_router(_calculator(pages))

    @router.get("/", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        return await desk(feed, pages, request, topic=HEALTH, title="desk.health", places=places_here())

    return router


def _prospects(view: View) -> list[Prospect]:
    return [prospect(kind, view) for kind in SYMBOLS]


def _calculator(pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    @router.get("/optics", response_class=HTMLResponse)
    async def page(request: Request, width: Width = 1920, lens: Lens = 60.0, distance: Distance = 0.5) -> HTMLResponse:
        view = View(width_px=width, lens_degrees=lens, distance_m=distance)
        html = pages.get_template("optics.html").render(
            lang=lang_of(request), title="optics.title", view=view, symbols=SYMBOLS, prospects=_prospects(view)
        )
        return HTMLResponse(html)

    @router.get("/optics/prospects")
    async def rows(width: Width = 1920, lens: Lens = 60.0, distance: Distance = 0.5) -> list[dict[str, Any]]:
        """The same as rows: for each kind of code the pixels a module, whether they suffice, and what would."""
        return [asdict(one) for one in _prospects(View(width_px=width, lens_degrees=lens, distance_m=distance))]

    return router
