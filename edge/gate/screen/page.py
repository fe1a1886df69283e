"""The officer's page over HTTP: one page, one stream, pictures from RAM, one key."""

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from edge.gate.metrics import CONTENT_TYPE
from edge.gate.screen.pairing import Gatekeeper, Pairing, is_near, routes
from edge.gate.screen.showing import Panel, Showing, Tally
from models.aim import Advice
from models.passes import typed
from models.passes.outcome import Outcome
from models.passes.reasons import REASONS
from models.passes.scan import Pass
from models.view.feed import Feed, Render
from models.view.page import Secured, day, environment, lang_of, language_route, mount_static, reason, same_origin, text
from models.wire.events import CameraHealth

TICK_SECONDS = 0.2
_FORM_BYTES = 4096
PARTY_ROWS = 4
"""People of a vehicle who fit beside its answer; the worst come first."""
LINES = 3
"""Reasons that fit under an answer and are read from 3 m; the first is the one that counts."""


@dataclass(frozen=True, slots=True)
class _Link:
    up: bool = False
    waiting: int = 0
    as_of: datetime | None = None
    """Of the data that the gate decides with by itself; None: it has none."""


@dataclass(frozen=True, slots=True)
class Override:
    """What an officer says instead of the gate, and why."""

    scan: str
    camera: str
    outcome: Outcome
    reason: str
    officer: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody without a code that can be read, as the officer enters them; they get an answer like everybody."""

    camera: str
    code: Pass
    stop: str | None = None
    """Of the vehicle whose answer stands on the screen."""


def reason_lines(lang: str, reasons: Sequence[str]) -> list[str]:
    """What the queue may read along: a medical reason is only a number, and then nothing else is said."""
    medical = [REASONS[key].code for key in reasons if key in REASONS and REASONS[key].medical]
    if medical:
        return [text(lang, "gate.call", code=medical[0])]
    return _all_lines(lang, reasons)[:LINES]


def _all_lines(lang: str, reasons: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(reason(lang, key) for key in reasons))


def _is_veiled(reasons: Sequence[str]) -> bool:
    """Whether more is known than the queue may read."""
    return any(REASONS[key].medical for key in reasons if key in REASONS)


class Screen:
    """The checkpoint cameras' panels. What tells it something may call from any thread; other cameras are not shown."""

    def __init__(
        self,
        site: str,
        cameras: Sequence[str],
        *,
        pairing: Pairing | None = None,
        metrics: Callable[[], str] = lambda: "",
        on_override: Callable[["Override", str], bool] = lambda _told, _pin: False,
        on_entry: Callable[["Entry"], None] = lambda _told: None,
        on_detail: Callable[[str, str], None] = lambda _camera, _scan: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._site = site
        self._on_override = on_override
        self._on_entry = on_entry
        self._on_detail = on_detail
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._panels = {camera: Panel() for camera in cameras}
        self._tallies = {camera: Tally() for camera in cameras}
        self._stills: dict[str, tuple[bytes, datetime]] = {}
        self._link = _Link()
        self._boot = secrets.token_hex(3)
        self._templates = environment(Path(__file__).parent / "templates")
        self._templates.globals["PARTY_ROWS"] = PARTY_ROWS
        self._feed = Feed({"line": self._line, **self._topics()})
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/holder", self._holder),
                Route("/metrics", lambda _: PlainTextResponse(metrics(), media_type=CONTENT_TYPE)),
                Route("/live", self._live),
                Route("/me", self._me),
                Route("/crop/{scan}", self._crop),
                Route("/still/{camera}.jpg", self._still),
                Route("/dismiss/{camera}/{scan}", self._dismiss, methods=["POST"]),
                Route("/override/{camera}/{scan}", self._override, methods=["POST"]),
                Route("/detail/{camera}/{scan}", self._detail, methods=["POST"]),
                Route("/type-in/{camera}", self._type_in, methods=["POST"]),
                Route("/paper/{camera}", self._paper, methods=["POST"]),
                *(routes(pairing, self._templates) if pairing else []),
                language_route(),
                mount_static(),
            ],
            middleware=[Middleware(Secured), *([Middleware(Gatekeeper, pairing=pairing)] if pairing else [])],
            lifespan=self._life,
        )

    def watch(self, cameras: Sequence[str]) -> None:
        """These have a panel from now on; one that has one keeps what is on it."""
        with self._lock:
            self._panels = {camera: self._panels.get(camera, Panel()) for camera in cameras}
            self._tallies = {camera: self._tallies.get(camera, Tally()) for camera in cameras}
            self._stills = {camera: still for camera, still in self._stills.items() if camera in cameras}
        self._feed.hold({"line": self._line, **self._topics()})

    def reading(self, camera: str, advice: Advice | None = None) -> None:
        """A code is in view and not read yet; what its holder can do about it."""
        self._change(camera, lambda panel: panel.reading(self._clock(), advice))

    def show(self, showing: Showing) -> None:
        """Paint an answer. The same scan with `repeat` > 0 flashes with the count; a worse answer takes its place."""
        if showing.camera not in self._panels:
            return
        with self._lock:
            tally = self._tallies[showing.camera]
            self._tallies[showing.camera] = tally.add(showing, day(self._wall()))
        self._change(showing.camera, lambda panel: panel.show(showing, self._clock()))
        self._feed.touch(f"recent.{showing.camera}")

    def health(self, camera: str, health: CameraHealth) -> None:
        self._change(camera, lambda panel: panel.hear(health, self._clock()))

    def link(self, up: bool, waiting: int) -> None:
        """Whether central is reached, and how many events wait for it."""
        self._tell(replace(self._link, up=up, waiting=waiting))

    def carries(self, as_of: datetime | None) -> None:
        """What the gate decides with by itself, and how old that is."""
        self._tell(replace(self._link, as_of=as_of))

    def _tell(self, link: _Link) -> None:
        if link != self._link:
            self._link = link
            self._feed.touch("line")
            for camera in self._panels:
                self._feed.touch(f"status.{camera}")

    def still(self, camera: str, jpeg: bytes, seen_at: datetime) -> None:
        """The newest picture, for the holder to aim by."""
        if camera in self._panels:
            self._stills[camera] = (jpeg, seen_at)
            self._change(camera, Panel.picture)

    def tick(self) -> None:
        """End what time alone ends; the running page calls it by itself."""
        now = self._clock()
        for camera in self._panels:
            self._change(camera, lambda panel: panel.tick(now))

    def close(self) -> None:
        """End the open streams, before the server is asked to stop: it waits for them."""
        self._feed.close()

    def _change(self, camera: str, change: Callable[[Panel], Panel]) -> None:
        with self._lock:
            before = self._panels.get(camera)
            if before is None:
                return
            after = self._panels[camera] = change(before)
        if after.version != before.version:
            self._feed.touch(f"panel.{camera}")
        if after.turn != before.turn:
            self._feed.touch(f"holder.{camera}")
            self._feed.touch(f"next.{camera}")
        if _pulse(after.health) != _pulse(before.health):
            self._feed.touch(f"status.{camera}")

    @asynccontextmanager
    async def _life(self, _app: Starlette) -> AsyncIterator[None]:
        async def pulse() -> None:
            while True:
                self.tick()
                await asyncio.sleep(TICK_SECONDS)

        ticking = asyncio.create_task(pulse())
        yield
        ticking.cancel()
        self.close()

    def _topics(self) -> Mapping[str, Render]:
        return {
            f"{part}.{camera}": self._part(part, camera)
            for camera in self._panels
            for part in ("panel", "next", "recent", "status", "holder")
        }

    def _part(self, part: str, camera: str) -> Render:
        async def render(lang: str, _places: tuple[str, ...]) -> str:
            panel, tally = self._panels[camera], self._tallies[camera]
            showing = panel.showing
            return self._templates.get_template(f"{part}.html").render(
                lang=lang,
                camera=camera,
                boot=self._boot,
                version=f"{self._boot}-{panel.version}",
                panel=panel,
                showing=showing,
                lines=reason_lines(lang, showing.reasons) if showing else [],
                is_veiled=_is_veiled(showing.reasons) if showing else False,
                tally=tally,
                outcomes=[outcome.value for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.CHECK)],
                link=self._link,
            )

        return render

    async def _line(self, lang: str, _places: tuple[str, ...]) -> str:
        return self._templates.get_template("line.html").render(lang=lang, link=self._link)

    async def _page(self, request: Request) -> HTMLResponse:
        return await self._look(request, "officer.html", ("line", "panel", "next", "recent", "status"))

    async def _holder(self, request: Request) -> HTMLResponse:
        """For the person before the camera: how to hold the code. No name, no picture of anybody else, no answer."""
        return await self._look(request, "facing.html", ("holder",))

    async def _look(self, request: Request, page: str, parts: Sequence[str]) -> HTMLResponse:
        camera = request.query_params.get("camera") or next(iter(self._panels), "")
        if camera not in self._panels:
            raise HTTPException(404)
        lang = lang_of(request)
        topics = [part if part == "line" else f"{part}.{camera}" for part in parts]
        states = {topic.partition(".")[0]: await self._feed.state(topic, lang) for topic in topics}
        html = self._templates.get_template(page).render(
            lang=lang,
            live="/live?topics=" + ",".join(topics),
            near=is_near(request),
            site=self._site,
            camera=camera,
            cameras=list(self._panels),
            states=states,
        )
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    async def _live(self, request: Request) -> StreamingResponse:
        return self._feed.stream(request.query_params.get("topics", "").split(","), lang_of(request))

    async def _me(self, _request: Request) -> Response:
        """Whoever comes so far may look."""
        return Response(status_code=204)

    async def _crop(self, request: Request) -> Response:
        for panel in self._panels.values():
            for one in (panel.showing, *panel.party):
                if one and one.crop and one.scan == request.path_params["scan"]:
                    return _jpeg(one.crop)
        raise HTTPException(404)

    async def _still(self, request: Request) -> Response:
        kept = self._stills.get(request.path_params["camera"])
        if kept is None:
            raise HTTPException(404)
        return _jpeg(kept[0])

    async def _override(self, request: Request) -> Response:
        """An officer decides otherwise, with a reason and a PIN; it works without the network."""
        form, lang = await _form(request), lang_of(request)
        camera, scan = request.path_params["camera"], request.path_params["scan"]
        if camera not in self._panels:
            raise HTTPException(404)
        panel, tally = self._panels[camera], self._tallies[camera]
        if scan not in {one.scan for one in panel.party} | {row.scan for row in tally.rows}:
            return PlainTextResponse(text(lang, "gate.scan_gone"), status_code=404)
        reason, officer = form.get("reason", "").strip()[:200], form.get("officer", "").strip()[:60]
        if not reason or form.get("outcome") not in {"PASS", "FAIL"}:
            raise HTTPException(422)
        told = Override(scan, camera, Outcome(form["outcome"]), reason, officer)
        if not await asyncio.to_thread(self._on_override, told, form.get("pin", "")):
            return PlainTextResponse(text(lang, "gate.pin_wrong"), status_code=403)
        with self._lock:
            self._tallies[camera] = self._tallies[camera].overrule(scan, told.outcome)
        self._feed.touch(f"recent.{camera}")
        self._change(camera, lambda panel: panel.overrule(scan, told.outcome))
        return Response(status_code=204)

    async def _type_in(self, request: Request) -> Response:
        """The number of somebody whose code cannot be read, or who has none."""
        form = await _form(request)
        year = form.get("birth_year", "").strip()
        code = typed.read(form.get("number", ""), int(year) if year.isascii() and year.isdigit() else None)
        if code is None:
            return PlainTextResponse(text(lang_of(request), "gate.number_wrong"), status_code=422)
        return await self._enter(request, code)

    async def _paper(self, request: Request) -> Response:
        """Somebody with papers only: a CHECK that the officer answers."""
        await _form(request)
        return await self._enter(request, typed.PAPER)

    async def _enter(self, request: Request, code: Pass) -> Response:
        camera = request.path_params["camera"]
        if camera not in self._panels:
            raise HTTPException(404)
        showing = self._panels[camera].showing
        await asyncio.to_thread(self._on_entry, Entry(camera, code, showing.stop if showing else None))
        return Response(status_code=204)

    async def _detail(self, request: Request) -> Response:
        """Every reason in words, while the officer holds the key; that somebody looked is written down."""
        await _form(request)
        camera, scan = request.path_params["camera"], request.path_params["scan"]
        panel = self._panels.get(camera)
        if panel is None or panel.showing is None or panel.showing.scan != scan:
            raise HTTPException(404)
        self._on_detail(camera, scan)
        lines = _all_lines(lang_of(request), panel.showing.reasons)
        return PlainTextResponse(" · ".join(lines), headers={"Cache-Control": "no-store"})

    async def _dismiss(self, request: Request) -> Response:
        await _form(request)
        self._change(request.path_params["camera"], lambda panel: panel.dismiss(request.path_params["scan"]))
        return Response(status_code=204)


def _pulse(health: CameraHealth | None) -> tuple[str, str, int] | None:
    """What the page says of a camera; changes within it are not worth a message."""
    if health is None:
        return None
    return health.state, health.reason, round((health.fps if health.state == "live" else health.frame_age_s) or 0)


async def _form(request: Request) -> dict[str, str]:
    """A small form of a page of ours."""
    if not same_origin(request):
        raise HTTPException(403)
    return dict(parse_qsl((await request.body())[:_FORM_BYTES].decode(errors="replace")))


def _jpeg(body: bytes) -> Response:
    return Response(body, media_type="image/jpeg", headers={"Cache-Control": "no-store"})
