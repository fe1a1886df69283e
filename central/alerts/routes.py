"""The supervisor's page: who left a zone, with the picture, until somebody says they have seen to it."""

from datetime import UTC, datetime
from typing import Annotated

import jinja2
from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service
from central.auth.service import places_here, who
from central.evidence import Evidence
from central.live import ALERTS
from central.sites import service as sites
from models.view.feed import Feed
from models.view.page import lang_of, text


class Supervisor:
    """Reads the open state, whole, each time; holds nothing."""

    def __init__(self, engine: AsyncEngine, evidence: Evidence, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._evidence = evidence
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        """The list and its head, as the stream sends it."""
        async with db.reading(self._engine) as connection:
            waiting = await service.open_alerts(connection, places)
            done = await service.done_alerts(connection, places)
            last = await service.last_at(connection, places)
            cameras = [row for row in await sites.cameras(connection, places) if row.watch in {"quarantine", ""}]
        pictures = {
            row.id: row.evidence for row in (*waiting, *done) if row.evidence and self._evidence.snapshot(row.evidence)
        }
        films = {row: film for row, picture in pictures.items() if (film := self._evidence.filmed(picture))}
        return self._pages.get_template("alerts.html").render(
            lang=lang, waiting=waiting, done=done, last=last, cameras=cameras, pictures=pictures, films=films
        )


def routes(engine: AsyncEngine, feed: Feed, pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    @router.get("/supervisor", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        lang = lang_of(request)
        return HTMLResponse(
            pages.get_template("desk.html").render(
                lang=lang,
                title="desk.supervisor",
                live=f"/live?topics={ALERTS}&lang={lang}",
                state=await feed.state(ALERTS, lang, places_here()),
            )
        )

    @router.post("/alerts/{alert_id}/acknowledge")
    async def acknowledge(request: Request, alert_id: Annotated[int, Path(ge=1, lt=2**63)]) -> Response:
        person = who()
        assert person is not None
        async with db.writing(engine) as connection:
            if not person.within(await service.site_of(connection, alert_id) or ""):
                raise HTTPException(404, "no such alert")
            by = person.full_name or person.name
            answer = await service.acknowledge(connection, alert_id, by, datetime.now(UTC))
        if isinstance(answer, service.Taken):
            if answer.by is None:
                raise HTTPException(404, "no such alert")
            return PlainTextResponse(text(lang_of(request), "desk.taken", by=answer.by), status_code=409)
        feed.touch(ALERTS)
        return RedirectResponse("/supervisor", status_code=303)

    return router
