"""The policies' desk: what is in force, what a new one would have done, and its publishing."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import service as auth
from central.passes import service
from models.passes.policy import BadPolicy
from models.view.page import lang_of
from models.wire.snapshot import pin_hash

_WEEK = timedelta(days=7)
Name = Annotated[str, Form(pattern=r"^[a-z0-9][a-z0-9._-]{1,39}$")]
Pin = Annotated[str, Form(pattern=r"^[0-9]{6,12}$")]
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
        if "text/html" in request.headers.get("accept", ""):
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
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/policies", status_code=303)
        return JSONResponse({"id": read.id, "effective_from": read.effective_from.isoformat()}, status_code=201)

    @router.post("/officers")
    async def set_pin(officer: Name, pin: Pin) -> Response:
        """The PIN with which an officer decides otherwise at a gate, also without the network."""
        salt = secrets.token_bytes(16)
        hashed = await asyncio.to_thread(pin_hash, pin, salt)
        async with db.writing(engine) as connection:
            await service.set_pin(connection, officer, salt, hashed)
        return Response(status_code=204)

    async def _refused(request: Request, document: str, error: BadPolicy) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return await answer(request, 422, document=document, fault=str(error))
        raise HTTPException(422, str(error)) from error

    return router
