"""The supervisor's page: who left a zone, with the picture, until somebody says they have seen to it."""

from datetime import UTC, datetime
from typing import Annotated

import jinja2
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service
from central.evidence import Evidence
from central.live import ALERTS
from central.sites import service as sites
from models.view.feed import Feed
from models.view.page import lang_of, same_origin, text


class Supervisor:
    """Reads the open state, whole, each time; holds nothing."""

    def __init__(self, engine: AsyncEngine, evidence: Evidence, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._evidence = evidence
        self._pages = pages

    async def render(self, lang: str) -> str:
        """The list and its head, as the stream sends it."""
        async with db.reading(self._engine) as connection:
            waiting = await service.open_alerts(connection)
            done = await service.done_alerts(connection)
            last = await service.last_at(connection)
            cameras = [row for row in await sites.cameras(connection) if row.watch in {"quarantine", ""}]
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
                state=await feed.state(ALERTS, lang),
            )
        )

    @router.post("/alerts/{alert_id}/acknowledge")
    async def acknowledge(
        request: Request, alert_id: int, by: Annotated[str, Form(min_length=1, max_length=60)]
    ) -> Response:
        if not same_origin(request):
            raise HTTPException(403, "send it from the page itself")
        async with db.writing(engine) as connection:
            answer = await service.acknowledge(connection, alert_id, " ".join(by.split()), datetime.now(UTC))
        if isinstance(answer, service.Taken):
            if answer.by is None:
                raise HTTPException(404, "no such alert")
            return PlainTextResponse(text(lang_of(request), "desk.taken", by=answer.by), status_code=409)
        feed.touch(ALERTS)
        return RedirectResponse("/supervisor", status_code=303)

    return router
