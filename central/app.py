"""Everything that central serves, put together: pages, their stream, evidence, health, and the inbox beside them."""

import asyncio
import logging
import math
import multiprocessing
import re
import ssl
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Literal

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from central import db, openapi, rounds
from central.alerts import routes as alerts
from central.alerts import service as alert_service
from central.auth import routes as auth
from central.auth import rules as access
from central.auth.door import Door, problem
from central.auth.service import places_here, who
from central.authority import Authority
from central.calibration import routes as calibration
from central.cameras import routes as cameras
from central.crowd import routes as crowd
from central.enrolment import routes as enrolment
from central.evidence import Evidence, OutOfStep, Refused, TooLarge, media_type
from central.imports import routes as imports_routes
from central.imports import service as imports
from central.inbox import routes as delivery
from central.inbox.asking import Boxes
from central.inbox.intake import Desk
from central.inbox.link import Link
from central.issuing import routes as issuing_routes
from central.issuing import service as issuing
from central.keys import Keys, sealing_key, trusted
from central.live import ALERTS, DUTY, HEALTH, IMPORTS, OVERVIEW, QUARANTINE, RECIPIENTS, STREETS, Screens
from central.notify import routes as notify
from central.overview import routes as overview
from central.passes import routes as pass_routes
from central.passes import service as passes
from central.quarantine import routes as quarantine
from central.records import routes as records
from central.reports import routes as reports
from central.settings import CentralSettings, Https
from central.sites import routes as sites
from central.sites import service as sites_service
from central.snapshot import routes as snapshot_routes
from central.snapshot import service as snapshot
from central.stills import Stills
from models import limits
from models.passes.policy import Policy
from models.view.page import Secured, environment, lang_of, language_route, mount_static
from models.wire import tls

_log = logging.getLogger(__name__)
_PAGES = Path(__file__).parent / "pages"
_LOOK_S = 1.0
_FORGET_S = 3600.0
_CONTENT_RANGE = re.compile(r"bytes (\d{1,12})-(\d{1,12})/(\d{1,12})")


def _known(https: Https | None) -> ssl.SSLContext | None:
    """By what the broker is known, and we are known to it, where that is set."""
    if https is None:
        return None
    return tls.context(Path(https.pki) / "ca.pem", Path(https.certificate), Path(https.key))


Duty = Literal["inbox", "web", "rounds"]
DUTIES: tuple[Duty, ...] = ("inbox", "web", "rounds")
"""Apart, a drain never starves a desk; together, one process is a whole central."""


class Central:
    """The whole service. `app` is served by whoever has a socket; `closing` is called before the server waits."""

    def __init__(
        self, settings: CentralSettings, keys: Keys, policy: Policy, *, only: Collection[Duty] = DUTIES
    ) -> None:
        self._settings = settings
        self._only = frozenset(only)
        self._keys = keys
        self._engine = db.connect(settings.database)
        self._desk = Desk(
            engine=self._engine,
            keys=keys,
            policy=policy,
            travel=passes.Travel(places=settings.places, most_kmh=settings.travel_kmh),
            pass_fresh_seconds=settings.pass_fresh_seconds,
            breach_fresh_seconds=settings.breach_fresh_seconds,
            keep_days=settings.keep_days,
            limits=limits.read(Path(settings.limits)),
        )
        self._order = snapshot.Order(
            database=settings.database,
            data=settings.data,
            carry=settings.snapshot.carry,
            common=(
                ("policy", Path(settings.policy).read_bytes()),
                ("trust", trusted(Path(settings.trust) if settings.trust else None, keys.passes)),
            ),
        )
        self._evidence = Evidence(Path(settings.data) / "evidence")
        self._stills = Stills()
        self._link: Link | None = None
        self._import = imports.Order(database=settings.database, data=settings.data)
        self._shelf = imports.Shelf(self._import.folder, keys)
        self._known = _known(settings.https)
        self._boxes = Boxes(settings.broker, keys, self._known)
        pages = environment(_PAGES)
        pages.globals |= {"who": who, "may": lambda what: access.may_do(who(), what)}
        importing = imports_routes.Imports(self._engine, self._shelf, pages, most_mb=settings.import_mb)
        traffic = crowd.Traffic(self._engine, pages, self._desk.limits, self._stills)
        self._feed = Screens(
            {
                IMPORTS: importing.render,
                ALERTS: alerts.Supervisor(self._engine, self._evidence, pages, settings.shifts).render,
                QUARANTINE: quarantine.Quarantine(self._engine, pages).render,
                DUTY: alerts.Duty(self._engine, self._evidence, pages).render,
                STREETS: traffic.render,
                HEALTH: sites.Health(self._engine, pages).render,
                RECIPIENTS: notify.Recipients(self._engine, pages, settings.shifts).render,
                OVERVIEW: overview.Overview(self._engine, pages).render,
            },
            self._engine,
        )
        self.app = FastAPI(title="Cửa Ô", docs_url=None, redoc_url=None, lifespan=self._lifespan)
        self.app.add_middleware(Door, engine=self._engine, keys=keys)
        self.app.add_middleware(Secured)
        self.app.add_exception_handler(StarletteHTTPException, _problem)
        self.app.add_exception_handler(RequestValidationError, _unfit)
        self.app.include_router(auth.routes(self._engine, pages))
        self.app.include_router(sites.routes(self._feed, pages))
        self.app.include_router(cameras.routes(self._engine, keys, self._boxes, self._feed, pages))
        self.app.include_router(alerts.routes(self._engine, self._feed, self._evidence, pages))
        self.app.include_router(overview.routes(self._engine, self._feed, pages))
        self.app.include_router(quarantine.routes(self._engine, keys, self._feed, pages))
        self.app.include_router(notify.routes(self._engine, keys, self._feed, pages))
        self.app.include_router(crowd.routes(self._engine, self._feed, pages, traffic, self._stills))
        for router in (
            reports.routes(self._engine, pages, self._desk.limits),
            calibration.routes(self._engine, keys, self._boxes, pages, self._stills),
            records.routes(self._engine, keys, pages),
            issuing_routes.routes(self._engine, keys, pages),
            pass_routes.routes(self._engine, pages),
        ):
            self.app.include_router(router)
        importing.feed = self._feed
        self.app.include_router(imports_routes.routes(importing))
        self.app.include_router(pass_routes.officers(self._engine, pages))
        self.app.include_router(delivery.routes(self._desk, self._feed.touch, pages))
        self.app.include_router(snapshot_routes.routes(self._order.folder, keys, settings.snapshot.carry))
        authority = Authority(Path(settings.https.pki)) if settings.https else None
        broker, public = settings.https.broker if settings.https else "", (keys.public_text, keys.sign_text)
        self.app.include_router(enrolment.routes(self._engine, authority, broker, public))
        self.app.router.routes += [mount_static(), language_route()]
        self.app.mount("/desk", StaticFiles(directory=_PAGES / "static"), name="desk")
        self._serve()

    def _serve(self) -> None:
        """What no room of its own answers."""
        self.app.add_api_route("/live", self._live, methods=["GET"])
        self.app.add_api_route("/evidence/{name}", self._put_evidence, methods=["PUT"])
        self.app.add_api_route("/evidence/{name}", self._get_evidence, methods=["GET"])
        self.app.add_api_route("/evidence/{name}", self._head_evidence, methods=["HEAD"])
        self.app.add_api_route("/evidence/{name}/clip", self._get_clip, methods=["GET"])
        self.app.add_api_route("/evidence/{name}/snapshot", self._get_snapshot, methods=["GET"])
        self.app.add_api_route("/health/live", self._alive, methods=["GET"])
        self.app.add_api_route("/health/ready", self._ready, methods=["GET"])
        self.app.add_api_route("/metrics", self._metrics, methods=["GET"])
        openapi.describe(self.app)

    async def stop(self) -> None:
        """Give back what was opened without `start`: the database."""
        await self._engine.dispose()

    def closing(self) -> None:
        """End the endless streams, so that the server need not wait for them."""
        self._feed.close()

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        await db.wait_for(self._settings.database)
        beside = [self._feed.run()] if "web" in self._only or self._engine.dialect.name == "postgresql" else []
        if "rounds" in self._only:
            beside += [self._build_snapshots(), self._import_files()]
            beside += [rounds.run(self._engine, self._settings, self._keys, self._evidence, self._feed.touch)]
        tasks = [asyncio.create_task(work) for work in beside]
        if "inbox" in self._only:
            notices = snapshot.Notices(self._order.folder, self._settings.snapshot.carry)
            self._link = Link(self._settings.broker, self._desk, self._feed.touch, self._known, version=notices.version)
            self._link.start()
        if "web" in self._only:
            self._boxes.start()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            links = [self._boxes.stop(), *([] if self._link is None else [self._link.stop()])]
            await asyncio.gather(*links)  # each may sleep between two tries at a broker that is away
            await self._engine.dispose()

    async def _build_snapshots(self) -> None:
        """Look again and again whether gates need anything newer; a process of its own builds it."""
        spawn = multiprocessing.get_context("spawn")
        while True:
            try:
                async with db.reading(self._engine) as connection:
                    now = datetime.now(UTC)
                    told = [*await passes.for_gates(connection, now), *await issuing.for_gates(connection, now)]
                told.append(("seal", sealing_key(Path(self._settings.data))))
                order = replace(self._order, common=(*self._order.common, *told))
                if await snapshot.is_due(self._engine, order):
                    process = spawn.Process(target=snapshot.build, args=(order,), name="snapshot", daemon=True)
                    process.start()
                    try:
                        await asyncio.to_thread(process.join)
                    finally:
                        process.kill()
                    if process.exitcode:
                        _log.warning("no new snapshot for the gates: its process ended with %s", process.exitcode)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("no new snapshot for the gates (%s); trying again", type(error).__name__)
            await asyncio.sleep(self._settings.snapshot.every_seconds)

    async def _import_files(self) -> None:
        """A process of its own for what waits to be imported; screens hear how far it is."""
        spawn = multiprocessing.get_context("spawn")
        process: BaseProcess | None = None
        forgotten_at = -math.inf
        was_due = False
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                try:
                    if time.monotonic() - forgotten_at > _FORGET_S:
                        await imports.forget(self._engine, self._shelf, datetime.now(UTC))
                        forgotten_at = time.monotonic()
                    due = await imports.is_due(self._engine)
                except (SQLAlchemyError, OSError) as error:
                    _log.warning("files that wait are not looked for (%s); trying again", type(error).__name__)
                    continue
                if due or was_due:
                    self._feed.touch(IMPORTS)
                was_due = due
                if process is not None and process.exitcode:
                    _log.warning("an import's process ended with %s; it begins again", process.exitcode)
                if due and (process is None or not process.is_alive()) and imports.is_free(self._shelf.folder):
                    process = spawn.Process(target=imports.work, args=(self._import,), name="import")
                    process.start()
        finally:
            if process is not None:
                process.kill()

    async def _live(self, request: Request, topics: str) -> Response:
        person = who()
        if not all(access.may_do(person, f"LIVE {topic.partition('~')[0]}") for topic in topics.split(",")):
            raise HTTPException(403, "your roles do not open this topic")
        return self._feed.stream(topics.split(","), lang_of(request), places_here())

    async def _head_evidence(self, name: str) -> Response:
        """Whether it is here, or how much of it."""
        path = self._evidence.path(name)
        if path is not None:
            return Response(headers={"Upload-Offset": str(path.stat().st_size)})
        return Response(status_code=404, headers={"Upload-Offset": str(self._evidence.offset(name))})

    async def _put_evidence(self, request: Request, name: str) -> Response:
        """All of it, or with Content-Range the next part of it: 202 until it is whole."""
        told = _CONTENT_RANGE.fullmatch(request.headers.get("content-range", ""))
        try:
            if told is None:
                await self._evidence.put(name, request.stream())
            else:
                start, _, total = map(int, told.groups())
                size = await self._evidence.append(name, start, total, request.stream())
                if size < total:
                    return Response(status_code=202, headers={"Upload-Offset": str(size)})
        except OutOfStep as error:
            raise HTTPException(409, str(error), {"Upload-Offset": str(error.offset)}) from error
        except TooLarge as error:
            raise HTTPException(413, str(error)) from error
        except Refused as error:
            raise HTTPException(400, str(error)) from error
        self._feed.touch(ALERTS)
        return Response(status_code=204)

    async def _get_evidence(self, name: str) -> Response:
        await self._check_place(name)
        return await _file(self._evidence.path(name))

    async def _get_clip(self, name: str) -> Response:
        await self._check_place(name)
        return await _file(self._evidence.clip(name))

    async def _check_place(self, manifest: str) -> None:
        """Whoever is bound to places sees what happened there and nothing else."""
        person = who()
        if person is not None and person.places:
            async with db.reading(self._engine) as connection:
                site = await alert_service.site_of_evidence(connection, self._evidence.first(manifest))
            if site is None or not person.within(site):
                raise HTTPException(404)

    async def _get_snapshot(self, name: str) -> Response:
        await self._check_place(name)
        return await _file(self._evidence.snapshot(name))

    async def _alive(self) -> Response:
        return JSONResponse({"state": "alive"})

    async def _ready(self) -> Response:
        """Ready is whoever can do all its duties, now: the database for each, the broker for the inbox."""
        try:
            async with asyncio.timeout(2), db.reading(self._engine) as connection:
                await connection.execute(text("SELECT 1 FROM event LIMIT 1"))
            database = True
        except (SQLAlchemyError, OSError, TimeoutError):
            database = False
        told = {"database": database}
        if "inbox" in self._only:
            told["broker"] = self._link is not None and self._link.connected
        return JSONResponse(told, status_code=200 if all(told.values()) else 503)

    async def _metrics(self) -> Response:
        """For Prometheus; no label names a person or a place."""
        told: dict[str, float] = {"screens": self._feed.readers}
        if self._link is not None:
            told |= self._link.counters()
        try:
            async with asyncio.timeout(2), db.reading(self._engine) as connection:
                told |= await sites_service.totals(connection)
            told["database_up"] = 1
        except (SQLAlchemyError, OSError, TimeoutError):
            told["database_up"] = 0
        return Response(
            "".join(f"cua_o_{name} {value:g}\n" for name, value in sorted(told.items())),
            media_type="text/plain; version=0.0.4",
        )


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    words = HTTPStatus(error.status_code).phrase
    return problem(
        error.status_code, words, "" if error.detail == words else str(error.detail), **(error.headers or {})
    )


async def _unfit(_request: Request, error: Exception) -> Response:
    """What was sent is not what the route takes: where, and what was expected; never the value itself."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
    return problem(422, "Unfit input", "; ".join(faults))


async def _file(path: Path | None) -> Response:
    if path is None:
        raise HTTPException(404)
    with path.open("rb") as file:
        head = file.read(12)
    # A name is a hash of its content: it can never change.
    return FileResponse(
        path, media_type=media_type(head), headers={"Cache-Control": "private, max-age=31536000, immutable"}
    )
