"""The delivery page: what has not come, what came late, whose clock is off, and the letters that nobody could use."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import jinja2
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from central import db
from central.inbox import letters
from central.inbox.intake import Desk
from central.sites import service as sites
from models.view.page import lang_of, wants_page

_SHOWN = 100


class Delivery:
    """As a page for people, as JSON for programs."""

    def __init__(self, desk: Desk, touch: Callable[[str], None], pages: jinja2.Environment) -> None:
        self._desk = desk
        self._touch = touch
        self._pages = pages

    async def page(self, request: Request, used: int | None = None, still: int | None = None) -> HTMLResponse:
        async with db.reading(self._desk.engine) as connection:
            told: dict[str, Any] = {
                "boxes": {f"{row.site}/{row.edge}": row for row in await sites.edges(connection)},
                "gaps": await sites.gaps(connection),
                "late": await letters.late(connection, datetime.now(UTC)),
                "letters": await letters.newest(connection, _SHOWN),
                "count": await letters.count(connection),
            }
        html = self._pages.get_template("delivery.html").render(
            lang=lang_of(request), title="delivery.title", used=used, still=still, **told
        )
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    async def gaps(self) -> list[dict[str, Any]]:
        """Of every outbox, how many sequences have not come and the first ranges of them."""
        async with db.reading(self._desk.engine) as connection:
            return [asdict(gap) for gap in await sites.gaps(connection)]

    async def letters(self) -> list[dict[str, Any]]:
        """The newest dead letters, without what they say."""
        async with db.reading(self._desk.engine) as connection:
            return [{**row, "digest": row["digest"].hex()} for row in await letters.newest(connection, _SHOWN)]

    async def letter(self, digest: str) -> Response:
        """Its bytes as they came."""
        async with db.reading(self._desk.engine) as connection:
            raw = await letters.payload(connection, _digest(digest))
        if raw is None:
            raise HTTPException(404, "no such letter; perhaps it was replayed")
        # as text, whatever it is: a stranger wrote it
        return Response(raw, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})

    async def replay_all(self, request: Request) -> Response:
        """Try all of them again, after a fix."""
        return await self._replay(request, None)

    async def replay(self, request: Request, digest: str) -> Response:
        return await self._replay(request, _digest(digest))

    async def _replay(self, request: Request, digest: bytes | None) -> Response:
        done = await letters.replay(self._desk, datetime.now(UTC), None if digest is None else [digest])
        if digest is not None and not done.used + done.still:
            raise HTTPException(404, "no such letter; perhaps it was replayed")
        for topic in sorted(done.touched):
            self._touch(topic)
        if wants_page(request):
            return RedirectResponse(f"/delivery?used={done.used}&still={done.still}", 303)
        return JSONResponse({"used": done.used, "still": done.still})


def routes(desk: Desk, touch: Callable[[str], None], pages: jinja2.Environment) -> APIRouter:
    here = Delivery(desk, touch, pages)
    router = APIRouter()
    router.add_api_route("/delivery", here.page, methods=["GET"], response_class=HTMLResponse)
    router.add_api_route("/gaps", here.gaps, methods=["GET"])
    router.add_api_route("/letters", here.letters, methods=["GET"])
    router.add_api_route("/letters/{digest}", here.letter, methods=["GET"], response_class=Response)
    router.add_api_route("/letters/replay", here.replay_all, methods=["POST"])
    router.add_api_route("/letters/{digest}/replay", here.replay, methods=["POST"])
    return router


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise HTTPException(404, "no such letter") from error
