"""Which screens on the gate's network may look. A browser on the box itself needs no pairing; every other one shows six
digits, and somebody at the box types them in. Central is not asked: a post without an uplink pairs its screens too.
"""

import hashlib
import json
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.view.page import lang_of, same_origin

COOKIE = "cua-o-screen"
CODE_SECONDS = 600.0
MOST_WAITING = 20
_TEN_YEARS = 10 * 365 * 24 * 3600
_OPEN = ("/pair", "/static/", "/lang/")


def is_near(request: Request) -> bool:
    """A browser on this very box; whatever a proxy passes on has come from elsewhere."""
    forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "via"))
    return request.client is not None and request.client.host in {"127.0.0.1", "::1"} and not forwarded


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Paired:
    name: str
    since: datetime
    is_facing: bool = False
    """It faces the queue: of the gate it sees the holder's page alone."""

    def may_see(self, request: Request) -> bool:
        if not self.is_facing or request.url.path in {"/holder", "/me"} or request.url.path.startswith("/still/"):
            return True
        topics = request.query_params.get("topics", "").split(",")
        return request.url.path == "/live" and all(topic.startswith("holder.") for topic in topics)


class Pairing:
    """The screens that may look, in one file of hashes; those that ask wait in RAM."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[str, float]] = OrderedDict()  # hash of the cookie: its code, since when
        told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self._paired = {
            key: Paired(row["name"], datetime.fromisoformat(row["since"]), row.get("is_facing", False))
            for key, row in told.items()
        }

    @property
    def paired(self) -> dict[str, Paired]:
        return dict(self._paired)

    def knows(self, secret: str) -> Paired | None:
        return self._paired.get(_hash(secret))

    def ask(self, secret: str) -> str:
        """The six digits that this browser shows; the same ones until they end."""
        key, now = _hash(secret), self._clock()
        with self._lock:
            for other, (_, since) in list(self._waiting.items()):
                if now - since >= CODE_SECONDS:
                    del self._waiting[other]
            if key not in self._waiting:
                taken = {code for code, _ in self._waiting.values()}
                code = next(code for code in iter(lambda: f"{secrets.randbelow(10**6):06}", "") if code not in taken)
                self._waiting[key] = (code, now)
                while len(self._waiting) > MOST_WAITING:
                    self._waiting.popitem(last=False)
            return self._waiting[key][0]

    def redeem(self, code: str, name: str, since: datetime, *, is_facing: bool = False) -> bool:
        """Let in the screen that shows these digits. False when none does, or no longer."""
        now = self._clock()
        with self._lock:
            for key, (shown, asked_at) in self._waiting.items():
                if secrets.compare_digest(shown.encode(), code.encode()) and now - asked_at < CODE_SECONDS:
                    del self._waiting[key]
                    self._paired[key] = Paired(name, since, is_facing)
                    self._keep()
                    return True
        return False

    def revoke(self, key: str) -> None:
        with self._lock:
            if self._paired.pop(key, None) is not None:
                self._keep()

    def _keep(self) -> None:
        rows = {
            key: {"name": row.name, "since": row.since.isoformat(), "is_facing": row.is_facing}
            for key, row in self._paired.items()
        }
        fresh = self._file.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(rows, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)


class _Revoked(OSError):
    """A screen that followed was taken off the list."""


class Gatekeeper:
    """ASGI middleware: nobody from elsewhere sees anything before they are paired, nor after they no longer are."""

    def __init__(self, app: ASGIApp, *, pairing: Pairing) -> None:
        self._app = app
        self._pairing = pairing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_near(request := Request(scope)):
            await self._app(scope, receive, send)
            return
        path, secret = request.url.path, request.cookies.get(COOKIE, "")
        if path.startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        paired = self._pairing.knows(secret)
        page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if paired and not paired.may_see(request):
            elsewhere = (
                RedirectResponse("/holder", 303) if page else JSONResponse({"title": "Not for this screen"}, 403)
            )
            await elsewhere(scope, receive, send)
            return
        if path.startswith("/screens") or not paired:
            wanted = quote(path + (f"?{request.url.query}" if request.url.query else ""))
            refused = (
                RedirectResponse(f"/pair?next={wanted}", 303) if page else JSONResponse({"title": "Not paired"}, 401)
            )
            await refused(scope, receive, send)
            return

        async def checked(message: Message) -> None:
            if not self._pairing.knows(secret):
                raise _Revoked
            await send(message)

        try:
            await self._app(scope, receive, checked)
        except (_Revoked, ClientDisconnect):
            return


def routes(pairing: Pairing, pages: jinja2.Environment) -> list[Route]:
    async def pair(request: Request) -> Response:
        """On the new screen: its digits, until they are typed in at the box."""
        secret = request.cookies.get(COOKIE) or secrets.token_urlsafe(32)
        if is_near(request) or pairing.knows(secret):
            # only a path of ours, and never //elsewhere
            return RedirectResponse("/" + request.query_params.get("next", "").lstrip("/\\"), 303)
        html = pages.get_template("pair.html").render(lang=lang_of(request), code=pairing.ask(secret))
        shown = HTMLResponse(html, headers={"Cache-Control": "no-store", "Refresh": "3"})
        secure = request.url.scheme == "https"
        shown.set_cookie(COOKIE, secret, max_age=_TEN_YEARS, httponly=True, samesite="strict", secure=secure)
        return shown

    def listed(request: Request, *, refused: bool = False) -> HTMLResponse:
        html = pages.get_template("screens.html").render(
            lang=lang_of(request), paired=pairing.paired, refused=refused, cameras=()
        )
        return HTMLResponse(html, 404 if refused else 200, headers={"Cache-Control": "no-store"})

    async def screens(request: Request) -> Response:
        if request.method == "GET":
            return listed(request)
        form = await _form(request)
        name = " ".join(form.get("name", "").split())[:60] or "?"
        code, is_facing = form.get("code", "").replace(" ", ""), form.get("faces") == "holder"
        if not pairing.redeem(code, name, datetime.now(UTC), is_facing=is_facing):
            return listed(request, refused=True)
        return RedirectResponse("/screens", 303)

    async def revoke(request: Request) -> Response:
        await _form(request)
        pairing.revoke(request.path_params["key"])
        return RedirectResponse("/screens", 303)

    return [
        Route("/pair", pair),
        Route("/screens", screens, methods=["GET", "POST"]),
        Route("/screens/{key}/revoke", revoke, methods=["POST"]),
    ]


async def _form(request: Request) -> dict[str, str]:
    """A small form of a page of ours; the box carries no library for larger ones."""
    if not same_origin(request):
        raise HTTPException(403)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > 4096:
            raise HTTPException(413)
    return dict(parse_qsl(body.decode(errors="replace")))
