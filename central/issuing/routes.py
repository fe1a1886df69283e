"""The issuing desk: a number in, a pass to print out; and the taking back."""

import io
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jinja2
import segno
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import service as auth
from central.issuing import service
from central.keys import Keys
from models.passes.city_pass import BadPass
from models.view.page import lang_of, wants_page

Number = Annotated[str, Form(pattern=r"^(?:[0-9]{9}|[0-9]{12})$")]
Drawing = Annotated[str, Form(pattern="^(svg|png|pdf)$")]
Hours = Annotated[int, Form(ge=1, le=service.MOST_HOURS)]
_SCALE = 4


def _drawn(text: str, form: str) -> bytes:
    """The QR symbol: svg, png or pdf, error correction M, never larger than version 10."""
    sink = io.BytesIO()
    # an svg without a size of its own grows and shrinks with its frame; with one it would be cut
    fitting = {"omitsize": True} if form == "svg" else {}
    segno.make_qr(text, error="m", boost_error=False).save(sink, kind=form, scale=_SCALE, **fitting)
    return sink.getvalue()


def routes(engine: AsyncEngine, keys: Keys, pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    def answer(request: Request, **values: Any) -> HTMLResponse:
        given = {"id": "", "svg": "", "fault": "", "until": None} | values
        html = pages.get_template("issuing.html").render(lang=lang_of(request), title="issuing.title", **given)
        return HTMLResponse(html, 422 if given["fault"] else 200, headers={"Cache-Control": "no-store"})

    @router.get("/passes", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        return answer(request)

    @router.post("/passes")
    async def issue(
        request: Request,
        number: Number,
        hours: Hours = 72,
        form: Drawing = "svg",
    ) -> Response:
        """The pass as a page, or as the bytes of an svg, png or pdf."""
        by, now = person.name if (person := auth.who()) else "?", datetime.now(UTC)
        kind = "cccd" if len(number) == 12 else "cmnd"
        try:
            async with db.writing(engine) as connection:
                name, text = await service.issue(connection, keys, kind, number, hours=hours, by=by, now=now)
        except (service.Unknown, BadPass) as error:
            if wants_page(request):
                return answer(request, fault=str(error))
            raise HTTPException(422, str(error)) from error
        if wants_page(request):
            drawn = _drawn(text, "svg").decode().partition("?>")[2]
            return answer(request, id=name, svg=drawn, until=now + timedelta(hours=hours))
        types = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
        return Response(
            _drawn(text, form), media_type=types[form], headers={"Pass-Id": name, "Cache-Control": "no-store"}
        )

    @router.post("/passes/revoke")
    async def revoke(request: Request, id: Annotated[str, Form(pattern="^[0-9a-f]{16}$")]) -> Response:  # noqa: A002
        """Gates refuse it from their next snapshot on."""
        by = person.name if (person := auth.who()) else "?"
        async with db.writing(engine) as connection:
            done = await service.revoke(connection, id, by=by, now=datetime.now(UTC))
        if not done:
            raise HTTPException(404, "no such pass, or it is taken back already")
        if wants_page(request):
            return RedirectResponse("/passes", status_code=303)
        return JSONResponse({}, status_code=200)

    return router
