"""The one door of the web: every request passes it, and whatever has no rule is closed.

People come with a cookie, programs with a token, boxes from this machine or with a token of theirs.
"""

import time
from collections import OrderedDict
from datetime import UTC, datetime
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from central import db
from central.auth import rules, service
from central.auth.rules import PEOPLE, Role, Rule, Who
from central.keys import Keys
from models.view.page import same_origin, wants_page

SAFE = frozenset({"GET", "HEAD"})
_RECHECK_SECONDS = 20.0
"""An endless stream is looked at again so often: a person who has lost their rights loses the stream too."""
_LOGINS_A_MINUTE = 10
_KEPT_ADDRESSES = 4096


def cookie_name(request: Request, name: str = "cua-o") -> str:
    """Over TLS a browser itself holds this prefix to its promise: our host alone, the whole host, TLS only."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


SCREEN = "cua-o-screen"
"""The cookie of a screen on a wall."""


def problem(status: int, title: str, detail: str = "", **headers: str) -> JSONResponse:
    """An error as RFC 9457 wants it."""
    body = {"type": "about:blank", "title": title, "status": status} | ({"detail": detail} if detail else {})
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


class _Ended(OSError):
    """The reader of a stream has lost their rights meanwhile."""


class Tries:
    """Log-ins of an address within a minute: a bucket that fills again. Bounded: the longest unseen is forgotten."""

    def __init__(self, a_minute: int = _LOGINS_A_MINUTE) -> None:
        self._most = float(a_minute)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may(self, address: str, now: float) -> bool:
        left, at = self._left.pop(address, (self._most, now))
        left = min(self._most, left + (now - at) * self._most / 60)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _KEPT_ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1


class Door:
    """ASGI middleware. What passed it finds who is here by `service.who()`."""

    def __init__(self, app: ASGIApp, *, engine: AsyncEngine, keys: Keys) -> None:
        self._app = app
        self._engine = engine
        self._keys = keys
        self._tries = Tries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        rule, names = rules.rule_for(request.method, request.url.path) or (None, {})
        try:
            person = None if rule is not None and not rule.roles else await self._who(request, rule)
            refusal = await self._refusal(request, person, rule)
        except (SQLAlchemyError, OSError) as error:
            refusal = problem(503, "Database away", type(error).__name__)
        if refusal is not None or rule is None:
            await (refusal or problem(404, "Not found"))(scope, receive, send)
            return
        service.set_who(person)
        status = 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, self._watched(request, told) if rule.what == "GET /live" else told)
        except (_Ended, ClientDisconnect):
            return
        if person is not None and person.roles & PEOPLE and (request.method not in SAFE or rule.purpose):
            async with db.writing(self._engine) as connection:
                await service.note(
                    connection,
                    who=person.name,
                    what=rule.what,
                    whom=scope.get("state", {}).get("whom") or self._whom(rule, names),
                    why=_purpose(request),
                    outcome=str(status),
                )

    async def _who(self, request: Request, rule: Rule | None) -> Who | None:
        now = datetime.now(UTC)
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secret:
            return await service.by_token(self._engine, secret, now)
        if rule is not None and Role.EDGE in rule.roles and (peer := request.scope.get("peer")):
            return Who(name=peer, roles=frozenset({Role.EDGE}))  # its certificate says so, and our authority signed it
        if rule is not None and Role.EDGE in rule.roles and _is_near(request):
            return Who(name="edge", roles=frozenset({Role.EDGE}))
        cookie = request.cookies.get(cookie_name(request))
        if cookie and (person := await service.by_cookie(self._engine, cookie, now)) is not None:
            return person
        screen = request.cookies.get(cookie_name(request, SCREEN))
        return await service.by_token(self._engine, screen, now) if screen else None

    async def _refusal(self, request: Request, person: Who | None, rule: Rule | None) -> Response | None:
        if rule is None or not rules.may(person, rule):
            return await self._refuse(request, person, rule)
        by_browser = (person is None or person.session is not None) and rule.what != "POST /enrolment"  # by its code
        if request.method not in SAFE and Role.EDGE not in rule.roles and by_browser and not same_origin(request):
            return problem(403, "Foreign origin", "send it from the page itself")
        if rule.what == "POST /login" and not self._tries.may(_address(request), time.monotonic()):
            return problem(429, "Too many tries", "wait a minute", **{"Retry-After": "60"})
        if rule.purpose and not _purpose(request):
            return problem(428, "Purpose needed", "say by ?purpose= why you read one person's history")
        return None

    async def _refuse(self, request: Request, person: Who | None, rule: Rule | None) -> Response:
        page = request.method in SAFE and wants_page(request)
        if person is None:
            if page and cookie_name(request, SCREEN) in request.cookies:
                return RedirectResponse("/pair", 303)
            if page:
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"/login?next={quote(request.url.path + query)}", 303)
            return problem(401, "Log in first", **{"WWW-Authenticate": "Bearer"})
        if rule is None:
            return problem(404, "Not found")
        async with db.writing(self._engine) as connection:
            await service.note(connection, who=person.name, what=rule.what, outcome="403")
        return problem(403, "Not yours", "your roles do not open this")

    def _watched(self, request: Request, send: Send) -> Send:
        """A stream that ends soon after its reader's rights do."""
        checked_at = time.monotonic()

        async def watched(message: Message) -> None:
            nonlocal checked_at
            now = time.monotonic()
            if now - checked_at > _RECHECK_SECONDS:
                checked_at = now
                if await self._who(request, None) is None:
                    raise _Ended
            await send(message)

        return watched

    def _whom(self, rule: Rule, names: dict[str, str]) -> str:
        """What the path names; a person's number only as it is known here, never plain."""
        if rule.purpose:
            return " ".join(self._keys.key("audit", value).hex() for value in names.values())
        return " ".join(names.values())


def _purpose(request: Request) -> str:
    return request.query_params.get("purpose", "").strip()[:500]


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _is_near(request: Request) -> bool:
    """A box on this very machine; whatever a proxy passes on has come from elsewhere."""
    forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "via"))
    return _address(request) in {"127.0.0.1", "::1"} and not forwarded
