"""The policies' desk: what is in force, what a new one would have done, its publishing; and the officers' PINs."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jinja2
import msgspec
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import service as auth
from central.passes import rules, service
from models.passes.policy import BadPolicy
from models.view.page import given, lang_of, text, wants_page
from models.wire.snapshot import pin_hash

_WEEK = timedelta(days=7)
Document = Annotated[str, Form(min_length=2, max_length=1_000_000)]


def routes(engine: AsyncEngine, pages: jinja2.Environment) -> APIRouter:  # noqa: C901  (a handler each)
    router = APIRouter()

    async def answer(request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        async with db.reading(engine) as connection:
            listed = await service.listed(connection)
        given = {"document": "", "tried": None, "fault": ""} | values
        html = pages.get_template("policies.html").render(
            lang=lang_of(request), title="policies.title", policies=listed, **given
        )
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})

    @router.get("/policies")
    async def page(request: Request) -> Response:
        return await answer(request)

    @router.post("/policies/preview")
    async def preview(request: Request, document: Document) -> Response:
        """What it would have done with last week's scans; nothing is published."""
        try:
            async with db.reading(engine) as connection:
                tried = await service.preview(connection, document.encode(), datetime.now(UTC) - _WEEK)
        except BadPolicy as error:
            return await _refused(request, document, error)
        if wants_page(request):
            return await answer(request, document=document, tried=tried)
        changed = [{"was": was, "would": would, "scans": count} for (was, would), count in tried.changed.items()]
        return JSONResponse({"scans": tried.scans, "changed": changed})

    @router.post("/policies")
    async def publish(request: Request, document: Document) -> Response:
        """Effective from the hour that it says; gates get it with their next snapshot."""
        person = auth.who()
        try:
            async with db.writing(engine) as connection:
                read = await service.publish(
                    connection, document.encode(), by=person.name if person else "?", now=datetime.now(UTC)
                )
        except BadPolicy as error:
            return await _refused(request, document, error)
        if wants_page(request):
            return RedirectResponse("/policies", status_code=303)
        return JSONResponse({"id": read.id, "effective_from": read.effective_from.isoformat()}, status_code=201)

    async def _refused(request: Request, document: str, error: BadPolicy) -> Response:
        if wants_page(request):
            return await answer(request, 422, document=document, fault=str(error))
        raise HTTPException(422, str(error)) from error

    return router


class Officers:
    """Who may decide otherwise than a gate, also without the network, and their PINs."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    async def _page(self, request: Request, status: int = 200, fault: str = "", done: str = "") -> HTMLResponse:
        html = self._pages.get_template("officers.html").render(
            lang=lang_of(request), title="officers.title", officers=await self._listed(), fault=fault, done=done
        )
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})

    async def _listed(self) -> list[service.Overrider]:
        async with db.reading(self._engine) as connection:
            return await service.overriders(connection)

    async def page(self, request: Request) -> Response:
        if wants_page(request):
            return await self._page(request)
        return JSONResponse(msgspec.to_builtins(await self._listed()))

    async def _set(self, request: Request, officer: str, pin: str) -> str:
        """What is wrong, in words; empty when it is set."""
        if fault := rules.pin_fault(pin):
            return text(lang_of(request), fault)
        salt = secrets.token_bytes(16)
        hashed = await asyncio.to_thread(pin_hash, pin, salt)
        async with db.writing(self._engine) as connection:
            known = await service.set_pin(connection, officer, salt, hashed)
        return "" if known else text(lang_of(request), "officers.nobody")

    async def set(self, request: Request) -> Response:
        """`officer` and `pin`, as a form or as JSON. Gates know it with their next snapshot."""
        told = await given(request)
        officer, pin = str(told.get("officer", "")), str(told.get("pin", ""))
        fault = await self._set(request, officer, pin)
        if wants_page(request):
            return await self._page(request, 422 if fault else 200, fault, "" if fault else officer)
        if fault:
            raise HTTPException(422, fault)
        return Response(status_code=204)

    async def take(self, request: Request, officer: str) -> Response:
        async with db.writing(self._engine) as connection:
            if not await service.take_pin(connection, officer):
                raise HTTPException(404, "no PIN of that name")
        if wants_page(request):
            return RedirectResponse("/officers", 303)
        return Response(status_code=204)

    def _mine(self, request: Request, fault: str = "", *, done: bool = False) -> HTMLResponse:
        html = self._pages.get_template("pin.html").render(lang=lang_of(request), fault=fault, done=done)
        return HTMLResponse(html, 422 if fault else 200, headers={"Cache-Control": "no-store"})

    async def mine(self, request: Request) -> Response:
        return self._mine(request)

    async def set_mine(
        self,
        request: Request,
        old: Annotated[str, Form(max_length=200)],
        pin: Annotated[str, Form(max_length=20)],
    ) -> Response:
        """One's own, by one's password: nobody else need know it."""
        person = auth.who()
        if person is None or person.session is None:
            raise HTTPException(403, "a token has no PIN")
        if not await auth.fits(self._engine, person.name, old):
            return self._mine(request, text(lang_of(request), "auth.old_wrong"))
        fault = await self._set(request, person.name, pin)
        return self._mine(request, fault, done=not fault)


def officers(engine: AsyncEngine, pages: jinja2.Environment) -> APIRouter:
    here = Officers(engine, pages)
    router = APIRouter()
    for method, path, answer in (
        ("GET", "/officers", here.page),
        ("POST", "/officers", here.set),
        ("POST", "/officers/{officer}/revoke", here.take),
        ("GET", "/pin", here.mine),
        ("POST", "/pin", here.set_mine),
    ):
        router.add_api_route(path, answer, methods=[method])
    return router
