"""Cameras and their zones on central's pages: shown, tried, changed, drawn. An address goes in and never comes out."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import jinja2
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from msgspec import UNSET
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import service as auth
from central.auth.service import places_here, who
from central.cameras import rules, service
from central.cameras.rules import Unfit
from central.inbox.asking import Boxes, NoAnswer, NotTaken
from central.keys import Keys
from central.live import QUARANTINE
from central.quarantine import service as quarantine
from central.sites import service as sites
from models.view.feed import Feed
from models.view.findings import advice, summary
from models.view.page import lang_of, text, wants_page
from models.wire.command import Answer
from models.wire.topics import Box

_PROBE_S = 30.0
_NOW = timedelta(seconds=10)
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Address = Annotated[str, Field(max_length=500)]
ZoneKind = Literal["stay-inside", "keep-out", "exit-line", "lane", "count", "count-line", "ignore"]


class Camera(BaseModel):
    """As the form has it. An empty address: the one that is there."""

    id: Name
    source: Address = ""
    main: Address = ""
    watch: Literal["checkpoint", "quarantine", "traffic"]
    mode: Literal["trial", "armed", "maintenance"] = "armed"
    enabled: bool = True
    transport: Literal["tcp", "udp"] = "tcp"
    detector: Annotated[str, Field(max_length=200)] = "auto"
    far: Annotated[int, Field(ge=1, le=10_000)] = 60
    near: Annotated[int, Field(ge=1, le=10_000)] = 200

    def told(self) -> dict[str, Any]:
        """As the box's file has it."""
        plain = self.model_dump(exclude={"far", "near"})
        return plain | {"person_px": sorted((self.far, self.near)), "detector": self.detector or "auto"}


class Changed(Camera):
    was: Annotated[str, Field(max_length=64)]
    """Of the file that the form was made from."""
    camera: Annotated[str, Field(max_length=40)] = ""
    """Which one is changed; none: one more."""


class Tried(Camera):
    camera: Annotated[str, Field(max_length=40)] = ""
    lens_degrees: Annotated[float, Field(gt=0, lt=180)] | None = None
    distance_m: Annotated[float, Field(gt=0, le=1000)] | None = None


class Removed(BaseModel):
    was: Annotated[str, Field(max_length=64)]


class Zone(BaseModel):
    id: Annotated[str, Field(max_length=200)]
    was: Annotated[str, Field(max_length=200)] = ""
    kind: ZoneKind
    polygon: Annotated[list[tuple[Fraction, Fraction]], Field(max_length=100)]


class Drawn(BaseModel):
    was: Annotated[str, Field(max_length=64)]
    zones: Annotated[list[Zone], Field(max_length=50)]


class Escorted(BaseModel):
    zone: Name
    minutes: Annotated[int, Field(ge=0, le=720)]
    why: Annotated[str, Field(min_length=3, max_length=200)]


def _box(site: str, edge: str) -> Box:
    """Whoever is bound to places finds no other."""
    person = who()
    if person is None or not person.within(site):
        raise HTTPException(404, "no such box")
    return Box(site, edge)


def routes(engine: AsyncEngine, keys: Keys, boxes: Boxes, feed: Feed, pages: jinja2.Environment) -> APIRouter:  # noqa: C901, PLR0915  (a handler each)
    router = APIRouter()

    def page(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        html = pages.get_template(name).render(lang=lang_of(request), **values)
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})

    async def file_of(box: Box) -> tuple[str, bool]:
        """The box's own file, and whether it is from the box itself and not what we knew of it last."""
        try:
            told = await boxes.file_of(box)
        except NoAnswer:
            async with db.reading(engine) as connection:
                known = await service.newest(connection, keys, box)
            if known is None:
                raise HTTPException(404, "no such box answers, and central knows no file of it") from None
            return known, False
        async with db.writing(engine) as connection:
            await service.keep(connection, keys, box, told, by=None, now=datetime.now(UTC))
        return told, True

    async def change(request: Request, box: Box, was: str, make: Callable[[Mapping[str, Any]], dict[str, Any]]) -> str:
        """Asked of the box, checked by the box, sent to it, and gone by: then it is kept. The new file's hash."""
        lang = lang_of(request)
        try:
            old = await boxes.file_of(box)
            if rules.sha256(old) != was:
                raise HTTPException(409, text(lang, "cameras.meanwhile"))
            new = rules.write(make(rules.read(old)))
            answer = await boxes.ask(box, "check", yaml=new)
            if answer.refused is not UNSET:
                raise HTTPException(422, text(lang, "cameras.refused", why=answer.refused))
            await boxes.send(box, new)
        except Unfit as error:
            raise HTTPException(422, text(lang, f"cameras.unfit_{error.key}", **error.values)) from error
        except NoAnswer as error:
            raise HTTPException(409, text(lang, "cameras.no_answer")) from error
        except NotTaken as error:
            raise HTTPException(409, text(lang, "cameras.not_taken")) from error
        person = who()
        async with db.writing(engine) as connection:
            by = person.name if person else None
            await service.keep(connection, keys, box, new, by=by, now=datetime.now(UTC))
        return rules.sha256(new)

    @router.get("/cameras")
    async def overview(request: Request) -> HTMLResponse:
        async with db.reading(engine) as connection:
            edges = await sites.edges(connection, places_here())
            cameras = await sites.cameras(connection, places_here())
        return page(request, "boxes.html", title="cameras.title", edges=edges, cameras=cameras)

    @router.get("/cameras/{site}/{edge}")
    async def one_box(request: Request, site: str, edge: str) -> HTMLResponse:
        told, fresh = await file_of(_box(site, edge))
        return page(
            request,
            "box.html",
            title="cameras.title",
            site=site,
            edge=edge,
            was=rules.sha256(told),
            fresh=fresh,
            rows=rules.shown(rules.read(told)),
        )

    @router.get("/cameras/{site}/{edge}/{camera}")
    async def one_camera(request: Request, site: str, edge: str, camera: str) -> HTMLResponse:
        told, fresh = await file_of(_box(site, edge))
        row = next((row for row in rules.shown(rules.read(told)) if row.id == camera), None)
        if row is None:
            raise HTTPException(404, "no such camera")
        return page(
            request,
            "camera.html",
            title="cameras.title",
            site=site,
            edge=edge,
            was=rules.sha256(told),
            fresh=fresh,
            row=row,
            kinds=rules.ZONE_KINDS,
            zones=[{"id": z["id"], "was": z["id"], "kind": z["kind"], "polygon": z["polygon"]} for z in row.zones],
        )

    @router.post("/cameras/{site}/{edge}")
    async def save(request: Request, site: str, edge: str, form: Annotated[Changed, Form()]) -> Response:
        """Add a camera, or change the one that `camera` names. An empty address leaves the one that is there."""
        told = form.told()
        told = {name: value for name, value in told.items() if name not in {"was", "camera"}}
        box = _box(site, edge)
        async with db.reading(engine) as connection:
            walk = (await quarantine.walks(connection, (site,))).get((site, edge, form.camera))

        def make(old: Mapping[str, Any]) -> dict[str, Any]:
            if rules.arms(old, form.camera or None, told) and not (walk and walk.proofs):
                raise Unfit("walk")
            return rules.with_camera(old, form.camera or None, told)

        return done(request, f"/cameras/{site}/{edge}", await change(request, box, form.was, make))

    @router.post("/cameras/{site}/{edge}/{camera}/escort")
    async def escort(
        request: Request, site: str, edge: str, camera: str, form: Annotated[Escorted, Form()]
    ) -> Response:
        """The zone may be left with an escort for so many minutes; 0 takes it back. The box says whether it has it."""
        box, person, lang = _box(site, edge), who(), lang_of(request)
        now = datetime.now(UTC)
        until = now + timedelta(minutes=form.minutes)
        try:
            answer = await boxes.ask(box, "escort", camera=camera, zone=form.zone, until=until)
        except NoAnswer:
            return PlainTextResponse(text(lang, "cameras.no_answer"), status_code=409)
        if answer.fault is not UNSET:
            return PlainTextResponse(text(lang, "site.no_zone", zone=form.zone), status_code=422)
        async with db.writing(engine) as connection:
            by = person.full_name or person.name if person else "?"
            await quarantine.permit(connection, box, camera, form.zone, until=until, why=form.why, by=by)
        feed.touch(QUARANTINE)
        if wants_page(request):
            return RedirectResponse("/quarantine", status_code=303)
        return JSONResponse({"until": until.isoformat()})

    @router.post("/cameras/{site}/{edge}/probe")
    async def probe(request: Request, site: str, edge: str, form: Annotated[Tried, Form()]) -> JSONResponse:
        """What the camera really sends, and what to change on it, in words. Nothing is kept."""
        lang, box = lang_of(request), _box(site, edge)
        told = form.told()
        told = {name: value for name, value in told.items() if name not in {"camera", "lens_degrees", "distance_m"}}
        more: dict[str, Any] = {}
        if form.lens_degrees is not None:
            more = {"lens_degrees": form.lens_degrees, "distance_m": form.distance_m or 0.5}
        try:
            if form.camera:
                told = rules.merged(rules.settings_of(rules.read(await boxes.file_of(box)), form.camera), told)
            answer = await boxes.ask(box, "probe", seconds=_PROBE_S, settings=_filled(told), **more)
        except Unfit as error:
            raise HTTPException(422, text(lang, f"cameras.unfit_{error.key}", **error.values)) from error
        except NoAnswer as error:
            raise HTTPException(409, text(lang, "cameras.no_answer")) from error
        return JSONResponse(_findings(lang, answer, told))

    @router.get("/cameras/{site}/{edge}/{camera}/still")
    async def still(request: Request, site: str, edge: str, camera: str) -> JSONResponse:
        """The newest picture and who is in it."""
        lang = lang_of(request)
        try:
            answer = await boxes.ask(_box(site, edge), "still", camera=camera)
        except NoAnswer as error:
            raise HTTPException(409, text(lang, "cameras.no_answer")) from error
        if answer.jpeg is UNSET or answer.seen_at is UNSET:
            raise HTTPException(404, text(lang, "cameras.no_still"))
        return JSONResponse(
            {
                "jpeg": b64encode(answer.jpeg).decode(),
                "seen_at": answer.seen_at.isoformat(),
                "bodies": None if answer.bodies is UNSET else answer.bodies,
            },
            headers={"Cache-Control": "no-store"},
        )

    @router.get("/cameras/{site}/{edge}/{camera}/look")
    async def look(request: Request, site: str, edge: str, camera: str) -> HTMLResponse:
        """One camera as it is now, a picture a second while the page is open; the log says who looked."""
        box, person = _box(site, edge), who()
        async with db.writing(engine) as connection:
            told = f"{site}/{edge}/{camera}"
            await auth.note(connection, who=person.name if person else "?", what="looked", whom=told, outcome="200")
        return page(request, "look.html", title="cameras.look", box=box, camera=camera)

    @router.get("/cameras/{site}/{edge}/{camera}/still.jpg")
    async def now(site: str, edge: str, camera: str) -> Response:
        """The newest picture, and none at all when it is older than a few seconds: an old one would pass for now."""
        try:
            answer = await boxes.ask(_box(site, edge), "still", camera=camera)
        except NoAnswer as error:
            raise HTTPException(409, "the box does not answer") from error
        if answer.jpeg is UNSET or answer.seen_at is UNSET or datetime.now(UTC) - answer.seen_at > _NOW:
            raise HTTPException(404, "no picture of these seconds")
        headers = {"Cache-Control": "no-store", "Taken-At": answer.seen_at.isoformat()}
        return Response(answer.jpeg, media_type="image/jpeg", headers=headers)

    @router.post("/cameras/{site}/{edge}/{camera}/zones")
    async def draw(request: Request, site: str, edge: str, camera: str, drawn: Drawn) -> JSONResponse:
        zones = [zone.model_dump() for zone in drawn.zones]
        was = await change(request, _box(site, edge), drawn.was, lambda old: rules.with_zones(old, camera, zones))
        return JSONResponse({"was": was})

    @router.post("/cameras/{site}/{edge}/{camera}/remove")
    async def remove(request: Request, site: str, edge: str, camera: str, form: Annotated[Removed, Form()]) -> Response:
        was = await change(request, _box(site, edge), form.was, lambda old: rules.without_camera(old, camera))
        return done(request, f"/cameras/{site}/{edge}", was)

    def done(request: Request, there: str, was: str) -> Response:
        if wants_page(request):
            return RedirectResponse(there, status_code=303)
        return JSONResponse({"was": was})

    return router


def _filled(told: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "zones" and value != ""}


def _findings(lang: str, answer: Answer, told: Mapping[str, Any]) -> dict[str, Any]:
    """In the words of the reader."""
    if answer.refused is not UNSET:
        return {"good": False, "lines": [text(lang, "cameras.refused", why=answer.refused)]}
    if answer.found is UNSET:
        fault = "probe" if answer.fault is UNSET else answer.fault
        return {"good": False, "lines": [text(lang, f"cameras.fault_{fault}")]}
    said = advice(lang, answer.found["advice"])
    lines = summary(lang, answer.found, told.get("person_px", (60, 200)))
    return {"good": not said, "lines": lines, "advice": said or [text(lang, "doctor.good")]}
