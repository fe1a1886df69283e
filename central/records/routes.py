"""The registry's desk: find a resident, read the history, enter and correct; as pages and as an API, both ask why."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import jinja2
import msgspec
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import service as auth
from central.keys import Keys
from central.records import rules
from central.registry import service as registry
from models.passes.facts import BadFact
from models.passes.names import name_key
from models.view.page import given, lang_of, wants_page

Purpose = Annotated[str, Query(min_length=3, max_length=200)]
Line = Annotated[int, Path(ge=1, lt=2**62)]
_KINDS = {12: "cccd", 9: "cmnd"}


class Find(BaseModel):
    """By a number, or by name and birth (a date or its year)."""

    purpose: Annotated[str, Field(min_length=3, max_length=200)]
    number: str = ""
    name: str = ""
    birth: str = ""


class Correct(BaseModel):
    value: Any = None
    until: rules.Maybe = None


def _person(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise HTTPException(404, "no such resident") from error


def _shown(rows: RowMapping) -> dict[str, Any]:
    """A row as JSON; a resident's id in hex. It says nothing of the number."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in rows.items()}


def _read(kind: type[BaseModel], given: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate(given)
    except (ValidationError, ValueError) as error:
        faults = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
        words = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
        raise HTTPException(422, words or "a field cannot be read") from error


def _by() -> str:
    person = auth.who()
    return person.name if person is not None else "?"


class _Registry:
    """What the desk asks and tells."""

    def __init__(self, engine: AsyncEngine, keys: Keys) -> None:
        self._engine = engine
        self._keys = keys

    async def find(self, asked: Find) -> list[dict[str, Any]]:
        """By number the resident; by name and birth whoever may be meant, a page at most; who was shown is noted."""
        number = "".join(asked.number.split())
        if not number and not (asked.name and len(asked.birth) in {4, 10}):
            raise HTTPException(422, "give a number, or a name and a birth date (YYYY-MM-DD, or the year)")
        async with db.writing(self._engine) as connection:
            if number:
                names = [self._keys.key(kind, number) for kind in (_KINDS.get(len(number), "qid"), "qid")]
                known = await registry.resolve(connection, names)
                row = await registry.read(connection, known.id) if known else None
                people = [row[0]] if row else []
            else:
                people = await registry.candidates(connection, name_key(asked.name), asked.birth)
            for person in people:
                whom = self._keys.key("audit", person["id"].hex()).hex()
                await auth.note(connection, who=_by(), what="found", whom=whom, why=asked.purpose)
        return [_shown(person) for person in people]

    async def history(self, person: bytes) -> dict[str, Any]:
        async with db.reading(self._engine) as connection:
            row = await registry.read(connection, person)
        if row is None:
            raise HTTPException(404, "no such resident")
        resident, numbers, lines = row
        return {
            "resident": _shown(resident),
            "numbers": [dict(number) for number in numbers],
            "facts": [_shown(line) | {"value": msgspec.json.decode(line["value"])} for line in lines],
        }

    async def enter(self, person: bytes, record: str, told: rules.Record) -> list[int]:
        async with db.writing(self._engine) as connection:
            if await registry.read(connection, person) is None:
                raise HTTPException(404, "no such resident")
            try:
                return await registry.write(
                    connection, person, told.lines(), source=f"{record}:{_by()}", now=datetime.now(UTC)
                )
            except BadFact as error:
                raise HTTPException(422, str(error)) from error

    async def correct(self, line: int, told: Correct, purpose: str) -> int:
        source = f"correction:{_by()}: {purpose}"
        async with db.writing(self._engine) as connection:
            try:
                number = await registry.correct(
                    connection, line, told.value, until=told.until, source=source, now=datetime.now(UTC)
                )
            except BadFact as error:
                raise HTTPException(422, str(error)) from error
        if number is None:
            raise HTTPException(404, "no such fact")
        return number


def routes(engine: AsyncEngine, keys: Keys, pages: jinja2.Environment) -> APIRouter:  # noqa: C901  (a handler each)
    router = APIRouter()
    desk = _Registry(engine, keys)

    def answer(request: Request, template: str, **values: Any) -> HTMLResponse:
        html = pages.get_template(template).render(
            lang=lang_of(request), title="registry.title", records=rules.RECORDS, **values
        )
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    @router.get("/registry", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        async with db.reading(engine) as connection:
            zones = await registry.zones(connection)
        return answer(request, "registry.html", found=None, zones=zones, asked={})

    @router.post("/registry/find")
    async def find(request: Request) -> Response:
        """POST, so that no number is in an address or a log."""
        asked = _read(Find, await given(request))
        people = await desk.find(asked)
        if not wants_page(request):
            return JSONResponse(_plain(people))
        return answer(request, "registry.html", found=people, zones=[], asked=asked.model_dump())

    @router.get("/residents/{person}")
    async def read(request: Request, person: str, purpose: Purpose) -> Response:
        told = await desk.history(_person(person))
        if wants_page(request):
            return answer(request, "resident.html", purpose=purpose, **told)
        return JSONResponse(_plain(told), headers={"Cache-Control": "no-store"})

    @router.post("/residents/{person}/{record}")
    async def enter(request: Request, person: str, record: str, purpose: Purpose) -> Response:
        if record not in rules.RECORDS:
            raise HTTPException(404, f"no such record; one of: {', '.join(rules.RECORDS)}")
        told = _read(rules.RECORDS[record], await given(request))
        ids = await desk.enter(_person(person), record, told)
        return _done(request, person, purpose, {"facts": ids})

    @router.post("/facts/{line}/correct")
    async def correct(request: Request, line: Line, purpose: Purpose) -> Response:
        """With a value: this instead, from the same beginning. Without: it was never so."""
        told = await given(request)
        number = await desk.correct(line, _read(Correct, told), purpose)
        return _done(request, str(told.get("person", "")), purpose, {"facts": [number]})

    @router.post("/zones")
    async def zone(request: Request) -> Response:
        told = _read(rules.Zone, await given(request))
        async with db.writing(engine) as connection:
            await registry.set_zone(
                connection, told.ward, told.level, from_=told.from_, until=told.until, now=datetime.now(UTC)
            )
        if not wants_page(request):
            return JSONResponse({}, status_code=201)
        return RedirectResponse("/registry", status_code=303)

    return router


def _done(request: Request, person: str, purpose: str, told: dict[str, Any]) -> Response:
    if not wants_page(request):
        return JSONResponse(told, status_code=201)
    return RedirectResponse(f"/residents/{person}?{urlencode({'purpose': purpose})}", status_code=303)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)
