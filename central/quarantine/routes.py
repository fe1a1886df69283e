"""The sites: who has to be there, whether their zones have been walked, and what a breach came to."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import jinja2
import msgspec
from fastapi import APIRouter, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service as alerts
from central.alerts.rules import BREACH, Cause, Outcome
from central.auth import service as auth
from central.keys import Keys
from central.live import ALERTS, QUARANTINE, desk
from central.quarantine import rules, service
from central.records.rules import Maybe, Moment, Short
from central.sites import service as sites
from models.view.feed import Feed
from models.view.page import lang_of, text, wants_page
from models.wire.topics import Box

Number = Annotated[int, Path(ge=1, lt=2**63)]
Card = Annotated[str, Field(pattern=r"^(?:[0-9]{9}|[0-9]{12})$")]
"""A card's number. It is written nowhere."""


class Resolution(BaseModel):
    outcome: Outcome
    cause: Annotated[Cause | None, BeforeValidator(lambda told: told or None)] = None
    """Of a false alarm."""
    number: Annotated[str, Field(pattern=r"^(?:[0-9]{9}|[0-9]{12})?$")] = ""
    """Who it was: a card's number. It is written nowhere."""
    room: Annotated[str, Field(max_length=200)] = ""
    """Or where, when one alone has to be there."""
    note: Annotated[str, Field(max_length=500)] = ""

    def fault(self, kind: str) -> Literal["alert.cause_needed", "alert.number_needed", "alert.unfit", ""]:
        """The catalogue's key for what is missing or does not belong."""
        if (kind == BREACH) == (self.outcome is Outcome.HANDLED):
            return "alert.unfit"
        if self.outcome is Outcome.FALSE_ALARM and self.cause is None:
            return "alert.cause_needed"
        return "alert.number_needed" if self.outcome is Outcome.NAMED and not (self.number or self.room) else ""


class Admission(BaseModel):
    number: Card
    room: Short
    from_: Moment = Field(alias="from")
    until: Maybe = None


class Quarantine:
    """Each site with its cameras: what their guard is worth, and how many have to be there."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        now = datetime.now(UTC)
        async with db.reading(self._engine) as connection:
            cameras = [row for row in await sites.cameras(connection, places) if row.watch == "quarantine"]
            walks = await service.walks(connection, places)
            here = await service.occupants(connection, now)
            escorts = await service.escorts(connection, now)
        rows = []
        for camera in sorted(cameras, key=lambda row: (row.site, row.edge, row.camera)):
            key = camera.site, camera.edge, camera.camera
            rows.append((camera, walks.get(key), rules.guard(camera.mode, walks.get(key), now), escorts.get(key, [])))
        names = sorted({row.site for row in cameras} | {site for site in here if not places or site in places})
        return self._pages.get_template("quarantine.html").render(
            lang=lang, names=names, rows=rows, here=here, cameras=cameras
        )


def routes(  # noqa: C901, PLR0915  (a handler each)
    engine: AsyncEngine, keys: Keys, feed: Feed, pages: jinja2.Environment
) -> APIRouter:
    router = APIRouter()

    def within(site: str) -> str:
        """Who is here, when the site is one of theirs."""
        person = auth.who()
        assert person is not None
        if not person.within(site):
            raise HTTPException(404, "no such site")
        return person.name

    def done(request: Request, path: str, status: int = 200) -> Response:
        feed.touch(QUARANTINE)
        if wants_page(request):
            return RedirectResponse(path, status_code=303)
        return JSONResponse({}, status_code=status)

    @router.get("/quarantine", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        return await desk(feed, pages, request, topic=QUARANTINE, title="site.title", places=auth.places_here())

    async def listed(request: Request, site: str, fault: str = "") -> Response:
        async with db.writing(engine) as connection:
            found = await service.stays(connection, site, datetime.now(UTC))
            await auth.note(connection, who=within(site), what="GET /quarantine/{site}", whom=site, place=site)
        if not wants_page(request):
            if fault:
                raise HTTPException(422, fault)
            return JSONResponse(msgspec.to_builtins({"stays": found}), headers={"Cache-Control": "no-store"})
        html = pages.get_template("stays.html").render(
            lang=lang_of(request), title="site.title", site=site, stays=found, fault=fault
        )
        return HTMLResponse(html, 422 if fault else 200, headers={"Cache-Control": "no-store"})

    @router.get("/quarantine/{site}")
    async def people(request: Request, site: Annotated[str, Path(max_length=40)]) -> Response:
        """Who has to be there, masked. Whoever looks is written down."""
        within(site)
        return await listed(request, site)

    @router.post("/quarantine/{site}/stays")
    async def admit(
        request: Request,
        site: Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")],
        told: Annotated[Admission, Form()],
    ) -> Response:
        """The stay and its order: from then on the person has to be there, and every gate knows."""
        by, now = within(site), datetime.now(UTC)
        if told.until is not None and told.until <= told.from_:
            return await listed(request, site, text(lang_of(request), "site.backwards"))
        async with db.writing(engine) as connection:
            known = await service.named(connection, keys, told.number)
            if known is not None:
                await service.admit(
                    connection, known, site=site, room=told.room, from_=told.from_, until=told.until, by=by, now=now
                )
                whom = keys.key("audit", known.hex()).hex()
                await auth.note(connection, who=by, what="stay begun", whom=whom, place=site)
        if known is None:
            return await listed(request, site, text(lang_of(request), "alert.number_unknown"))
        return done(request, f"/quarantine/{site}", 201)

    @router.post("/stays/{stay_id}/end")
    async def release(request: Request, stay_id: Number) -> Response:
        async with db.writing(engine) as connection:
            site = await service.site_of_stay(connection, stay_id)
            by = within(site) if site is not None else ""
            known = await service.release(connection, stay_id, by=by, now=datetime.now(UTC)) if site else None
            if known is None or site is None:
                raise HTTPException(404, "no such stay, or it is over already")
            whom = keys.key("audit", known.hex()).hex()
            await auth.note(connection, who=by, what="stay ended", whom=whom, place=site)
        return done(request, f"/quarantine/{site}")

    @router.post("/quarantine/{site}/{edge}/{camera}/walk")
    async def walk(request: Request, site: str, edge: str, camera: str) -> Response:
        """Begin a walk test: whoever crosses a line of this camera in the next quarter of an hour proves its zone."""
        by, now = within(site), datetime.now(UTC)
        async with db.writing(engine) as connection:
            found = [
                row for row in await sites.cameras(connection, (site,)) if (row.edge, row.camera) == (edge, camera)
            ]
            if not found:
                raise HTTPException(404, "no such camera")
            if found[0].mode != "trial":
                return PlainTextResponse(text(lang_of(request), "site.trial_first"), status_code=409)
            await service.start_walk(connection, Box(site, edge), camera, by=by, now=now)
        return done(request, "/quarantine", 201)

    @router.post("/alerts/{alert_id}/resolve")
    async def resolve(request: Request, alert_id: Number, told: Annotated[Resolution, Form()]) -> Response:
        person, lang, now = auth.who(), lang_of(request), datetime.now(UTC)
        assert person is not None
        async with db.writing(engine) as connection:
            row = await alerts.row_of(connection, alert_id)
            if row is None or not person.within(row.site):
                raise HTTPException(404, "no such alert")
            if fault := told.fault(row.kind):
                return PlainTextResponse(text(lang, fault), status_code=422)
            known = None
            if told.outcome is Outcome.NAMED and told.number:
                known = await service.named(connection, keys, told.number)
                if known is None:
                    return PlainTextResponse(text(lang, "alert.number_unknown"), status_code=422)
            elif told.outcome is Outcome.NAMED:
                meant = await service.in_room(connection, row.site, " ".join(told.room.split()), now)
                if len(meant) != 1:
                    key = "alert.room_several" if meant else "alert.room_empty"
                    return PlainTextResponse(text(lang, key), status_code=422)
                known = meant[0]
            answer = await alerts.resolve(
                connection,
                alert_id,
                told.outcome,
                cause=told.cause if told.outcome is Outcome.FALSE_ALARM else None,
                note=" ".join(told.note.split()),
                by=person.full_name or person.name,
                now=now,
            )
            if isinstance(answer, alerts.Taken):
                return PlainTextResponse(text(lang, "alert.resolved_by", by=answer.by), status_code=409)
            if known is not None:
                await service.break_order(connection, known, row, by=person.name, now=now)
                whom = keys.key("audit", known.hex()).hex()
                await auth.note(connection, who=person.name, what="order broken", whom=whom, why=f"alert {row.id}")
        feed.touch(ALERTS)
        if wants_page(request):
            return RedirectResponse("/supervisor", status_code=303)
        return JSONResponse({})

    return router
