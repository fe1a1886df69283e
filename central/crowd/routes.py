"""The traffic desk's page: a tile for each counted street, the fullest first."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import jinja2
from fastapi import APIRouter, Form, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.auth.service import places_here, who
from central.crowd import rules, service
from central.crowd.rules import State, Warned
from central.crowd.service import Street
from central.history import service as history
from central.live import STREETS, desk
from central.sites import service as sites
from central.sites.rules import CameraRow
from central.stills import MAX_BYTES, Refused, Stills
from models.limits import Limits
from models.view.feed import Feed
from models.view.page import lang_of, text

Name = Annotated[str, Path(max_length=128)]
_MADE = 64
"""Views whose page is kept as it was made last: most of what streets tell changes none of the 48 that are looked at."""
_STILLS_S = 1.0
"""Pictures come all the time; the wall learns of them together."""


class Kept:
    """One value for all readers of a while: what changes seldom is not read again for each of them, and nobody waits
    for it but whoever comes after a long silence.
    """

    def __init__(self, engine: AsyncEngine, seconds: float, read: Callable[[AsyncConnection], Awaitable[Any]]) -> None:
        self._engine = engine
        self._seconds = seconds
        self._read = read
        self._at = -math.inf
        self._value: Any = None
        self._reading: asyncio.Task[None] | None = None

    async def get(self) -> Any:
        age = time.monotonic() - self._at
        if age > self._seconds and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._renew())
        if age > 2 * self._seconds and self._reading is not None:
            await asyncio.shield(self._reading)
        return self._value

    async def _renew(self) -> None:
        async with db.reading(self._engine) as connection:
            self._value = await self._read(connection)
        self._at = time.monotonic()


class Traffic:
    """The wall. Reads the open state, whole, each time, and beside it what changes seldom."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment, limits: Limits | None, stills: Stills) -> None:
        self._engine = engine
        self._limits = limits
        self._stills = stills
        self._pages = pages
        self._made: dict[tuple[str, tuple[str, ...], str], tuple[dict[str, Any], str]] = {}
        self._names = Kept(engine, 10.0, service.districts)
        self._plan = Kept(engine, 60.0, service.plan)
        self._cameras = Kept(engine, 3.0, sites.cameras)
        self._recent = Kept(engine, 15.0, lambda connection: history.recent(connection, datetime.now(UTC)))

    async def tiles(self, places: tuple[str, ...]) -> list["Tile"]:
        """Every counted zone, the fullest first."""
        async with db.reading(self._engine) as connection:
            spots, _ = await self._spots(connection, places)
            return await self._tiles(connection, spots)

    async def warnings(self, places: tuple[str, ...]) -> list[Warned]:
        async with db.reading(self._engine) as connection:
            return await service.open_warnings(connection, places)

    async def render(self, lang: str, places: tuple[str, ...], words: str = "") -> str:
        """A page of the wall. What is read and made for it does not grow with the city, but for each zone's level."""
        view = rules.view_of(words)
        async with db.reading(self._engine) as connection:
            spots, cameras = await self._spots(connection, places)
            mine = [spot for spot in spots if not view.district or spot.district == view.district]
            pages = max(1, -(-len(mine) // rules.A_PAGE))
            page = min(view.page, pages)
            tiles = await self._tiles(connection, mine[(page - 1) * rules.A_PAGE : page * rules.A_PAGE])
            warnings = await service.open_warnings(connection, places)
            plan = await self._plan.get()
        districts = rules.districts((spot.district, spot.level, spot.seen) for spot in spots)
        actions = self._limits.actions if self._limits else {}
        shown: dict[str, Any] = {
            "count": len(mine),
            "tiles": tiles,
            "page": page,
            "pages": pages,
            "districts": districts,
            "levels": _levels(spots),
            "plan": plan,
            "cameras": len(cameras),
            "gaps": [row for row in cameras if row.seen and row.unseen_minutes > 1],
            "away": [row for row in cameras if not row.seen],
            "warnings": warnings,
        }
        key = lang, places, words
        before = self._made.get(key)
        if before is not None and before[0] == shown:
            return before[1]
        html = self._pages.get_template("streets.html").render(
            **shown,
            lang=lang,
            district=view.district,
            by_name={one.name: one for one in districts},
            actions={int(level): getattr(action, lang) for level, action in actions.items()},
            directive=self._limits.title if self._limits else "",
        )
        while len(self._made) >= _MADE:
            del self._made[next(iter(self._made))]
        self._made[key] = shown, html
        return html

    async def _spots(
        self, connection: AsyncConnection, places: tuple[str, ...]
    ) -> tuple[list["Spot"], list[CameraRow]]:
        names = await self._names.get()
        cameras: list[CameraRow] = [
            row
            for row in await self._cameras.get()
            if row.watch in {"traffic", ""} and (not places or row.site in places)
        ]
        seen = {(row.site, row.edge, row.camera) for row in cameras if row.seen}
        spots = []
        for zone, level in (await service.levels(connection)).items():
            site, _, camera, name = zone
            if not places or site in places:
                street, district = names.get((site, camera, name), (name, ""))
                spots.append(Spot(zone, level, street, district, zone[:3] in seen))
        return sorted(spots, key=_fullest), cameras

    async def _tiles(self, connection: AsyncConnection, spots: Sequence["Spot"]) -> list["Tile"]:
        told = {
            (row.site, row.edge, row.camera, row.zone): row
            for row in await service.streets(connection, {spot.zone for spot in spots})
        }
        recent = await self._recent.get()
        now = datetime.now(UTC)
        return [
            Tile(
                row=told[spot.zone],
                street=spot.street,
                district=spot.district,
                seen=spot.seen,
                trend=rules.trend(*recent.get(spot.zone, (None, None))),
                still_at=still.taken_at if (still := self._stills.get(spot.zone[:3], now)) else None,
            )
            for spot in spots
            if spot.zone in told
        ]


class Spot(NamedTuple):
    """What the wall knows of every counted zone."""

    zone: service.Zone
    level: int | None
    street: str
    district: str
    seen: bool


def _fullest(spot: Spot) -> tuple[int, str, service.Zone]:
    return (1 if spot.level is None else -spot.level, spot.district, spot.zone)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A counted zone on the wall."""

    row: Street
    street: str
    district: str
    seen: bool
    trend: int
    still_at: datetime | None


def _levels(spots: Iterable[Spot]) -> dict[str, int]:
    """Of each street that is seen, the fullest of its zones."""
    found: dict[str, int] = {}
    for spot in spots:
        if spot.seen and spot.level is not None:
            found[spot.street] = max(found.get(spot.street, 0), spot.level)
    return found


def _plain(tile: Tile) -> dict[str, Any]:
    row = tile.row
    return {
        "site": row.site,
        "edge": row.edge,
        "camera": row.camera,
        "zone": row.zone,
        "street": tile.street,
        "district": tile.district or None,
        "level": row.level,
        "since": row.since,
        "people": row.counts.person,
        "vehicles": row.vehicles,
        "moving": row.counts.unknown,
        "low": row.low,
        "high": row.high,
        "density": row.density,
        "flow_in": row.flow_in,
        "flow_out": row.flow_out,
        "basis": row.basis,
        "trend": tile.trend,
        "at": row.at,
        "seen": tile.seen,
        "still_at": tile.still_at,
    }


def routes(engine: AsyncEngine, feed: Feed, pages: jinja2.Environment, traffic: Traffic, stills: Stills) -> APIRouter:
    router = APIRouter()
    _pictures(router, feed, stills)

    @router.get("/traffic", response_class=HTMLResponse)
    async def page(
        request: Request,
        number: Annotated[int, Query(alias="page", ge=1, le=9999)] = 1,
        district: Annotated[str, Query(max_length=120)] = "",
    ) -> HTMLResponse:
        topic = f"{STREETS}~{rules.View(page=number, district=district)}"
        return await desk(feed, pages, request, topic=topic, title="desk.traffic", places=places_here())

    @router.get("/traffic/streets.json")
    async def streets() -> list[dict[str, Any]]:
        """Every counted zone as it was last told, the fullest first."""
        return [_plain(tile) for tile in await traffic.tiles(places_here())]

    @router.get("/traffic/warnings.json")
    async def warnings() -> list[Warned]:
        """What districts are warned of now, the worst first."""
        return await traffic.warnings(places_here())

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


def _pictures(router: APIRouter, feed: Feed, stills: Stills) -> None:
    due = False

    def tell() -> None:
        nonlocal due
        due = False
        feed.touch(STREETS)

    @router.put("/stills/{site}/{edge}/{camera}", status_code=204)
    async def bring(request: Request, site: Name, edge: Name, camera: Name) -> Response:
        """A box's newest picture of a street. `Taken-At` says when that was."""
        nonlocal due
        peer = request.scope.get("peer")
        if peer is not None and peer != edge:
            raise HTTPException(403, "another box's picture")
        try:
            taken_at = datetime.fromisoformat(request.headers.get("taken-at", ""))
            jpeg = await _picture(request)
            stills.put((site, edge, camera), jpeg, taken_at.astimezone(UTC), datetime.now(UTC))
            if not due:
                due = True
                asyncio.get_running_loop().call_later(_STILLS_S, tell)
        except (ValueError, OverflowError) as error:
            raise HTTPException(400, f"a JPEG, and Taken-At as ISO 8601: {error}") from error
        return Response(status_code=204)

    @router.get("/stills/{site}/{edge}/{camera}")
    async def still(site: Name, edge: Name, camera: Name) -> Response:
        """The newest picture of a street; never a film, never an old one."""
        person = who()
        assert person is not None
        held = stills.get((site, edge, camera), datetime.now(UTC)) if person.within(site) else None
        if held is None:
            raise HTTPException(404)
        headers = {"Cache-Control": "private, max-age=60", "Taken-At": held.taken_at.isoformat()}
        return Response(held.jpeg, media_type="image/jpeg", headers=headers)


async def _picture(request: Request) -> bytes:
    jpeg = b""
    async for part in request.stream():
        jpeg += part
        if len(jpeg) > MAX_BYTES:
            raise Refused(f"more than {MAX_BYTES} bytes")
    return jpeg
