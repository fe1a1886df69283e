"""What every page has: its words in two languages, its templates, its static files and its security headers."""

import hashlib
import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import jinja2
import msgspec
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Lang = Literal["vi", "en"]
LANGS: tuple[Lang, ...] = ("vi", "en")

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
TEMPLATES = _HERE / "templates"
HANOI = timezone(timedelta(hours=7))
"""Viet Nam keeps one offset all year."""

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
            "form-action 'self'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
)


def _build() -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in _HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


BUILD = _build()
"""Changes with any file of the kit: a page of another build reloads itself."""


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Language to key to text. A key may be dotted in the file: [vi.reason] f0 is `reason.f0`."""
    with (_HERE / "catalogue.toml").open("rb") as file:
        tree = tomllib.load(file)

    def flat(branch: Mapping[str, Any], prefix: str) -> dict[str, str]:
        texts: dict[str, str] = {}
        for key, value in branch.items():
            texts |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return texts

    return MappingProxyType({lang: MappingProxyType(flat(tree[lang], "")) for lang in LANGS})


def text(lang: str, key: str, /, **values: object) -> str:
    """The words for `key`. Raises KeyError: a key that is not written is a fault of ours."""
    return catalogue()[lang][key].format(**values)


def reason(lang: str, key: str) -> str:
    """The words for a decision's reason; one that a newer policy knows and this page does not has a general text."""
    texts = catalogue()[lang]
    return texts.get(f"reason.{key}", texts["reason.other"])


def kind(lang: str, key: str) -> str:
    """The words for a kind of code, as `reason`."""
    texts = catalogue()[lang]
    return texts.get(f"kind.{key}", texts["kind.unknown"])


def doing(lang: str, state: str, why: str) -> str:
    """The words for what a camera is doing and why; what a newer box says and this page does not know has some too."""
    texts = catalogue()[lang]
    said = texts.get(f"state.{state}", texts["state.unknown"])
    return said if state == "live" else f"{said}: {texts.get(f'camera.{why}', texts['camera.other'])}"


def lang_of(request: Request) -> Lang:
    """`?lang=`, else the cookie, else Vietnamese."""
    for wanted in (request.query_params.get("lang"), request.cookies.get("lang")):
        if wanted in LANGS:
            return wanted
    return "vi"


async def _choose(request: Request) -> RedirectResponse:
    code = request.path_params["code"]
    if code not in LANGS:
        raise HTTPException(404)
    came_from = urlsplit(request.headers.get("referer", ""))
    back = came_from.path if came_from.netloc == request.headers.get("host") else ""
    # Only a path of ours, and never //elsewhere.
    response = RedirectResponse(
        "/" + back.lstrip("/") + (f"?{came_from.query}" if back and came_from.query else ""), 303
    )
    response.set_cookie("lang", code, max_age=365 * 24 * 3600, httponly=True, samesite="strict")
    return response


def language_route() -> Route:
    """/lang/vi and /lang/en: sets the cookie and goes back to the page that asked."""
    return Route("/lang/{code}", _choose, methods=["GET", "POST"])


def wants_page(request: Request) -> bool:
    """Whether a browser asks. Whoever does not take HTML is a program, and gets the same without a page around it."""
    return "text/html" in request.headers.get("accept", "")


def same_origin(request: Request) -> bool:
    """Whether a POST comes from a page of ours: its Origin names the host it was sent to."""
    origin = request.headers.get("origin", "")
    return origin.partition("://")[2] == request.headers.get("host", "") != ""


async def given(request: Request) -> dict[str, Any]:
    """A form's fields or a JSON object, whichever came. An empty field says nothing."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            told = msgspec.json.decode(await request.body())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HTTPException(422, f"body: {error}") from error
        return told if isinstance(told, dict) else {}
    if not same_origin(request):
        raise HTTPException(403, "send it from the page itself")
    return {name: value for name, value in (await request.form()).items() if value != ""}


def clock(moment: datetime) -> str:
    return moment.astimezone(HANOI).strftime("%H:%M:%S")


def day(moment: datetime) -> str:
    return moment.astimezone(HANOI).strftime("%d/%m")


def day_clock(moment: datetime) -> str:
    return moment.astimezone(HANOI).strftime("%d/%m %H:%M:%S")


def environment(*folders: Path) -> jinja2.Environment:
    """Templates of `folders` over the kit's own; t, reason, kind, doing, |clock, |day, |day_clock, |moment."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clock": clock, "day": day, "day_clock": day_clock, "moment": datetime.fromisoformat}
    made.globals |= {"t": text, "reason": reason, "kind": kind, "doing": doing, "BUILD": BUILD}
    return made


def mount_static() -> Mount:
    """The kit's files under /static."""
    return Mount("/static", StaticFiles(directory=STATIC), name="static")


class Secured:
    """ASGI middleware: SECURITY_HEADERS on every answer; a page's own header counts more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, secured)
