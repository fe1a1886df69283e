"""The supervisor's page: who left a zone, with the picture, until somebody says what it came to."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Annotated, Any

import jinja2
import msgspec
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service
from central.alerts.rules import BREACH, Alert
from central.auth.rules import cell
from central.auth.service import places_here, who
from central.evidence import Evidence
from central.live import ALERTS, DUTY, desk
from central.notify import service as notify
from central.notify.rules import Kind, shift_began
from central.sites import service as sites
from models.view.feed import Feed
from models.view.page import lang_of, text, wants_page

Number = Annotated[int, Path(ge=1, lt=2**63)]
_CSV = (
    *("id", "kind", "site", "camera", "place", "first_at", "ended_at", "end_reason"),
    *("by", "by_at", "outcome", "cause", "resolved_by", "resolved_at", "note"),
)
_MOST_CSV = 10_000


def _proofs(evidence: Evidence, alerts: Sequence[Alert]) -> dict[str, Any]:
    """Of each row its picture and its film, as far as they have come."""
    pictures = {row.id: row.evidence for row in alerts if row.evidence and evidence.snapshot(row.evidence)}
    films = {row: film for row, picture in pictures.items() if (film := evidence.filmed(picture))}
    return {"pictures": pictures, "films": films}


class Supervisor:
    """Reads the open state, whole, each time; holds nothing."""

    def __init__(
        self, engine: AsyncEngine, evidence: Evidence, pages: jinja2.Environment, shifts: Sequence[time]
    ) -> None:
        self._engine = engine
        self._evidence = evidence
        self._pages = pages
        self._shifts = shifts

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        """The list and its head, as the stream sends it."""
        now = datetime.now(UTC)
        async with db.reading(self._engine) as connection:
            alerts = await service.unresolved(connection, places)
            done = await service.resolved(connection, places)
            last = await service.last_at(connection, places)
            zones = await service.zones(connection, now, places)
            outside = [row for row in await notify.recipients(connection) if row.active and Kind.BREACH in row.kinds]
            cameras = [row for row in await sites.cameras(connection, places) if row.watch in {"quarantine", ""}]
        shift = shift_began(now, self._shifts)
        return self._pages.get_template("alerts.html").render(
            lang=lang,
            waiting=[row for row in alerts if row.state == "open"],
            taken=[row for row in alerts if row.state != "open"],
            done=done,
            last=last,
            zones=[row for row in zones if row.false],
            outside=len(outside),
            untested=sum(row.tested_at is None or row.tested_at < shift for row in outside),
            cameras=cameras,
            **_proofs(self._evidence, (*alerts, *done)),
        )


class Duty:
    """The second screen: nothing is on it but what nobody has taken in time."""

    def __init__(self, engine: AsyncEngine, evidence: Evidence, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._evidence = evidence
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        async with db.reading(self._engine) as connection:
            waiting = await service.open_alerts(connection, places)
            cameras = [row for row in await sites.cameras(connection, places) if row.watch in {"quarantine", ""}]
        called = [row for row in waiting if row.second_at is not None]
        return self._pages.get_template("duty.html").render(
            lang=lang, waiting=called, cameras=cameras, **_proofs(self._evidence, called)
        )


def routes(  # noqa: C901  (a handler each)
    engine: AsyncEngine, feed: Feed, evidence: Evidence, pages: jinja2.Environment
) -> APIRouter:
    router = APIRouter()

    async def live(request: Request, title: str, topic: str) -> HTMLResponse:
        return await desk(
            feed, pages, request, topic=topic, title=title, places=places_here(), template="supervisor.html"
        )

    @router.get("/supervisor", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        return await live(request, "desk.supervisor", ALERTS)

    @router.get("/duty", response_class=HTMLResponse)
    async def duty(request: Request) -> HTMLResponse:
        return await live(request, "alert.duty", DUTY)

    async def listed(before: datetime | None, site: str, most: int) -> list[Alert]:
        async with db.reading(engine) as connection:
            return await service.resolved(connection, places_here(), before=before, site=site, most=most)

    @router.get("/alerts")
    async def history(
        request: Request, before: datetime | None = None, site: Annotated[str, Query(max_length=80)] = ""
    ) -> Response:
        """What is over, fifty at a time, newest first; for programs with what is not."""
        before = before.replace(tzinfo=UTC) if before and before.tzinfo is None else before
        done = await listed(before, site, 50)
        if wants_page(request):
            html = pages.get_template("history.html").render(
                lang=lang_of(request), title="alert.history", done=done, site=site, **_proofs(evidence, done)
            )
            return HTMLResponse(html)
        async with db.reading(engine) as connection:
            waiting = await service.unresolved(connection, places_here())
        return JSONResponse(msgspec.to_builtins({"unresolved": waiting, "resolved": done}))

    @router.get("/alerts.csv")
    async def table(site: Annotated[str, Query(max_length=80)] = "") -> Response:
        """The newest ten thousand that are over."""
        sink = io.StringIO()
        out = csv.writer(sink)
        out.writerow(_CSV)
        out.writerows(
            [cell("" if (value := getattr(row, name)) is None else value) for name in _CSV]
            for row in await listed(None, site, _MOST_CSV)
        )
        told = {"Content-Disposition": 'attachment; filename="alerts.csv"', "Cache-Control": "no-store"}
        return Response("\ufeff" + sink.getvalue(), media_type="text/csv; charset=utf-8", headers=told)

    @router.get("/alerts/{alert_id}")
    async def story(request: Request, alert_id: Number) -> Response:
        """One row, and everything that became of it, in order."""
        person = who()
        assert person is not None
        async with db.reading(engine) as connection:
            row = await service.row_of(connection, alert_id)
            if row is None or not person.within(row.site):
                raise HTTPException(404, "no such alert")
            told = await notify.messages(connection, f"{BREACH}/{row.id}")
        if wants_page(request):
            html = pages.get_template("alert.html").render(
                lang=lang_of(request),
                title="alert.story",
                alert=row,
                messages=told[::-1],
                signed=evidence.signed(row.evidence),
                **_proofs(evidence, [row]),
            )
            return HTMLResponse(html)
        return JSONResponse(msgspec.to_builtins({"alert": row, "messages": told}))

    @router.post("/alerts/{alert_id}/acknowledge")
    async def acknowledge(request: Request, alert_id: Number) -> Response:
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
