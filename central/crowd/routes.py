"""The traffic desk's page: a tile for each counted street, the fullest first."""

from datetime import UTC, datetime
from typing import Annotated

import jinja2
from fastapi import APIRouter, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.service import places_here, who
from central.crowd import service
from central.crowd.rules import State
from central.live import STREETS
from central.sites import service as sites
from models.limits import Limits
from models.view.feed import Feed
from models.view.page import lang_of, text


class Traffic:
    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        async with db.reading(self._engine) as connection:
            streets = [row for row in await service.streets(connection) if not places or row.site in places]
            warnings = await service.open_warnings(connection, places)
            names = await service.districts(connection)
            cameras = [row for row in await sites.cameras(connection, places) if row.watch in {"traffic", ""}]
        seen = {(row.site, row.edge, row.camera) for row in cameras if row.seen}
        return self._pages.get_template("streets.html").render(
            lang=lang,
            streets=streets,
            cameras=cameras,
            seen=seen,
            now=datetime.now(UTC),
            warnings=warnings,
            names=names,
            actions={int(level): getattr(action, lang) for level, action in self._limits.actions.items()},
            directive=self._limits.title,
        )


def routes(engine: AsyncEngine, feed: Feed, pages: jinja2.Environment) -> APIRouter:
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

    @router.post("/warnings/{warning}/{state}")
    async def answer(
        request: Request,
        warning: Annotated[int, Path(ge=1, lt=2**63)],
        state: State,
        note: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        person = who()
        assert person is not None
        reason = " ".join(note.split())
        if state is State.DISMISSED and not reason:
            raise HTTPException(422, text(lang_of(request), "crowd.why"))
        async with db.writing(engine) as connection:
            done = await service.answer(
                connection,
                warning,
                state,
                by=person.full_name or person.name,
                note=reason,
                now=datetime.now(UTC),
                places=places_here(),
            )
        if not done:
            return PlainTextResponse(text(lang_of(request), "crowd.answered"), status_code=409)
        feed.touch(STREETS)
        return RedirectResponse("/traffic", status_code=303)

    return router
