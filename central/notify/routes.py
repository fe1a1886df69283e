"""Who is told outside of the browser, what became of it, and whether it was tried in this shift."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Annotated, Literal

import jinja2
import msgspec
from fastapi import APIRouter, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.service import places_here, who
from central.keys import Keys
from central.live import RECIPIENTS, desk
from central.notify import rules, service
from central.notify.rules import Kind
from central.notify.service import BadAddress, Message, Recipient
from models.view.feed import Feed
from models.view.page import Lang, lang_of, text, wants_page


class Told(BaseModel):
    """Somebody who is to be told."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    address: Annotated[str, Field(min_length=1, max_length=2000)]
    """As apprise spells it: json://host/path is a webhook."""
    kinds: Annotated[list[Literal["breach", "street"]], Field(min_length=1)]
    places: Annotated[str, Field(max_length=2000)] = ""
    """Sites and districts with commas; empty: all."""
    lang: Lang = "vi"


Number = Annotated[int, Path(ge=1, lt=2**63)]


async def shown(engine: AsyncEngine, places: Sequence[str]) -> tuple[list[Recipient], list[Message]]:
    """Those who hear of these places, and what they were told last. No places: everybody."""
    async with db.reading(engine) as connection:
        found = [
            row
            for row in await service.recipients(connection)
            if not places or not row.places or set(row.places) & set(places)
        ]
        names = {row.name for row in found}
        return found, [row for row in await service.messages(connection) if row.recipient in names]


class Recipients:
    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment, shifts: Sequence[time]) -> None:
        self._engine = engine
        self._pages = pages
        self._shifts = shifts

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        recipients, messages = await shown(self._engine, places)
        return self._pages.get_template("recipients.html").render(
            lang=lang,
            recipients=recipients,
            messages=messages,
            shift=rules.shift_began(datetime.now(UTC), self._shifts),
        )


def routes(engine: AsyncEngine, keys: Keys, feed: Feed, pages: jinja2.Environment) -> APIRouter:  # noqa: C901  (a handler each)
    router = APIRouter()

    async def answer(request: Request, fault: str = "") -> HTMLResponse:
        page = await desk(
            feed, pages, request, topic=RECIPIENTS, title="notify.title", places=places_here(),
            template="notify.html", fault=fault,
        )  # fmt: skip
        page.status_code = 422 if fault else 200
        return page

    def done(request: Request, status: int = 200) -> Response:
        feed.touch(RECIPIENTS)
        if wants_page(request):
            return RedirectResponse("/recipients", status_code=303)
        return JSONResponse({}, status_code=status)

    @router.get("/recipients")
    async def page(request: Request) -> Response:
        """As a page; for programs as JSON, without the addresses."""
        if wants_page(request):
            return await answer(request)
        recipients, messages = await shown(engine, places_here())
        return JSONResponse(msgspec.to_builtins({"recipients": recipients, "messages": messages}))

    @router.post("/recipients")
    async def put(
        request: Request,
        told: Annotated[Told, Form()],
    ) -> Response:
        """A new one, or a new address for the one of this name."""
        person = who()
        assert person is not None
        try:
            async with db.writing(engine) as connection:
                await service.put(
                    connection,
                    keys,
                    name=" ".join(told.name.split()),
                    address=told.address.strip(),
                    kinds=[Kind(kind) for kind in told.kinds],
                    places=[place for part in told.places.split(",") if (place := " ".join(part.split()))],
                    lang=told.lang,
                    by=person.name,
                    now=datetime.now(UTC),
                )
        except BadAddress as error:
            if wants_page(request):
                return await answer(request, text(lang_of(request), "notify.bad_address"))
            raise HTTPException(422, str(error)) from error
        return done(request, 201)

    @router.post("/recipients/{number}/test")
    async def test(request: Request, number: Number) -> Response:
        person = who()
        assert person is not None
        async with db.writing(engine) as connection:
            known = await service.test(connection, number, person.full_name or person.name, datetime.now(UTC))
        if not known:
            raise HTTPException(404, "no such recipient")
        return done(request, 202)

    @router.post("/recipients/{number}/switch")
    async def switch(request: Request, number: Number, active: Annotated[bool, Form()]) -> Response:
        """On for a shift, off for the next."""
        async with db.writing(engine) as connection:
            known = await service.switch(connection, number, active=active)
        if not known:
            raise HTTPException(404, "no such recipient")
        return done(request)

    return router
