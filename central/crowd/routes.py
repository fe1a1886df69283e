"""The traffic desk's page: a tile for each counted street, the fullest first."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

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
from central.live import STREETS
from central.sites import service as sites
from central.sites.rules import CameraRow
from central.stills import MAX_BYTES, Refused, Stills
from models.limits import Limits
from models.view.feed import Feed
from models.view.page import lang_of, text

Name = Annotated[str, Path(max_length=128)]
_STILLS_S = 1.0
"""Pictures come all the time; the wall learns of them together."""


class Kept:
    """One value for all readers of a while: what changes seldom is not read again for each of them."""

    def __init__(self, seconds: float, read: Callable[[AsyncConnection], Awaitable[Any]]) -> None:
        self._seconds = seconds
        self._read = read
        self._until = 0.0
        self._value: Any = None

    async def get(self, connection: AsyncConnection) -> Any:
        now = time.monotonic()
        if now >= self._until:
            self._value = await self._read(connection)
            self._until = now + self._seconds
        return self._value


class Traffic:
    """The wall. Reads the open state, whole, each time, and beside it what changes seldom."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment, limits: Limits | None, stills: Stills) -> None:
        self._engine = engine
        self._limits = limits
        self._stills = stills
        self._pages = pages
        self._names = Kept(10.0, service.districts)
        self._plan = Kept(60.0, service.plan)
        self._cameras = Kept(1.0, sites.cameras)
        self._recent = Kept(15.0, lambda connection: history.recent(connection, datetime.now(UTC)))

    async def wall(self, places: tuple[str, ...]) -> "Wall":
        async with db.reading(self._engine) as connection:
            streets = await service.streets(connection)
            warnings = await service.open_warnings(connection, places)
            names = await self._names.get(connection)
            cameras = await self._cameras.get(connection)
            recent = await self._recent.get(connection)
            drawn = await self._plan.get(connection)
        cameras = [row for row in cameras if row.watch in {"traffic", ""} and (not places or row.site in places)]
        seen = {(row.site, row.edge, row.camera) for row in cameras if row.seen}
        now = datetime.now(UTC)
        tiles = []
        for row in streets:
            if places and row.site not in places:
                continue
            camera = (row.site, row.edge, row.camera)
            street, district = names.get((row.site, row.camera, row.zone), (row.zone, ""))
            still = self._stills.get(camera, now)
            tiles.append(
                Tile(
                    row=row,
                    street=street,
                    district=district,
                    seen=camera in seen,
                    trend=rules.trend(*recent.get((*camera, row.zone), (None, None))),
                    still_at=still.taken_at if still else None,
                )
            )
        return Wall(tiles=tiles, warnings=warnings, cameras=cameras, plan=drawn)

    async def render(self, lang: str, places: tuple[str, ...], words: str = "") -> str:
        wall = await self.wall(places)
        view = rules.view_of(words)
        mine = [tile for tile in wall.tiles if not view.district or tile.district == view.district]
        pages = max(1, -(-len(mine) // rules.A_PAGE))
        page = min(view.page, pages)
        districts = rules.districts((tile.district, tile.row.level, tile.seen) for tile in wall.tiles)
        return self._pages.get_template("streets.html").render(
            lang=lang,
            count=len(mine),
            tiles=mine[(page - 1) * rules.A_PAGE : page * rules.A_PAGE],
            page=page,
            pages=pages,
            district=view.district,
            districts=districts,
            by_name={one.name: one for one in districts},
            levels=_levels(wall.tiles),
            plan=wall.plan,
            cameras=wall.cameras,
            warnings=wall.warnings,
            actions={int(level): getattr(action, lang) for level, action in self._limits.actions.items()}
            if self._limits
            else {},
            directive=self._limits.title if self._limits else "",
        )


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A counted zone on the wall."""

    row: Street
    street: str
    district: str
    seen: bool
    trend: int
    still_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Wall:
    tiles: list[Tile]
    warnings: list[Warned]
    cameras: list[CameraRow]
    plan: rules.Plan


def _levels(tiles: Iterable[Tile]) -> dict[str, int]:
    """Of each street that is seen, the fullest of its zones."""
    found: dict[str, int] = {}
    for tile in tiles:
        if tile.seen and tile.row.level is not None:
            found[tile.street] = max(found.get(tile.street, 0), tile.row.level)
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
        lang = lang_of(request)
        topic = f"{STREETS}~{rules.View(page=number, district=district)}"
        return HTMLResponse(
            pages.get_template("desk.html").render(
                lang=lang,
                title="desk.traffic",
                live=f"/live?topics={quote(topic)}&lang={lang}",
                state=await feed.state(topic, lang, places_here()),
            )
        )

    @router.get("/traffic/streets.json")
    async def streets() -> list[dict[str, Any]]:
        """Every counted zone as it was last told, the fullest first."""
        return [_plain(tile) for tile in (await traffic.wall(places_here())).tiles]

    @router.get("/traffic/warnings.json")
    async def warnings() -> list[Warned]:
        """What districts are warned of now, the worst first."""
        return (await traffic.wall(places_here())).warnings

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
