"""The import desk: a file up, its columns named, its import watched and stopped, its refused rows down again."""

from collections.abc import Iterator
from typing import Annotated, Any

import jinja2
import msgspec
from fastapi import APIRouter, Form, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import service as auth
from central.imports import rules, service
from central.imports.rules import State
from central.imports.service import Shelf
from central.live import IMPORTS
from central.registry import rules as registry
from central.registry.load import BadFile
from models.view.feed import Feed
from models.view.page import lang_of, wants_page

Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Columns = Annotated[list[str] | None, Form(max_length=200)]
_SHOWN_ROWS = 8
_SHOWN_REFUSED = 20
_CHUNK = 1 << 16


class Imports:
    """Every page and answer of this room. `feed` is there once it has been made of `render`, among others."""

    feed: Feed

    def __init__(self, engine: AsyncEngine, shelf: Shelf, pages: jinja2.Environment, *, most_mb: int) -> None:
        self._engine = engine
        self._shelf = shelf
        self._pages = pages
        self._most_mb = most_mb

    async def render(self, lang: str, _places: tuple[str, ...]) -> str:
        return self._pages.get_template("imports.html").render(lang=lang, uploads=await self._listed())

    async def _listed(self) -> list[dict[str, Any]]:
        async with db.reading(self._engine) as connection:
            rows = await service.listed(connection)
        return [self._told(row) for row in rows]

    def _told(self, row: RowMapping) -> dict[str, Any]:
        columns = msgspec.json.decode(row["columns"])
        has_rejects = self._shelf.rejects(row).path.exists()
        return {**row, "columns": columns, "has_rejects": has_rejects} | service.progress(self._shelf, row)

    async def _one(self, id_: str) -> RowMapping:
        async with db.reading(self._engine) as connection:
            row = await service.read(connection, id_)
        if row is None:
            raise HTTPException(404, "no such file; it may have been forgotten after a week")
        return row

    def _preview(self, row: RowMapping) -> dict[str, Any]:
        """What would come of the first rows under the columns as they are named."""
        columns, begun = msgspec.json.decode(row["columns"]), service.begun(self._shelf, row["id"])
        fault = registry.columns_fault(columns)
        looked = rules.look(columns, begun.rows) if not fault else []
        refused = [one for one in looked if one.refused]
        shown = [rules.Looked(line, registry.shown(columns, cells), None) for line, cells in begun.rows[:_SHOWN_ROWS]]
        return {
            "fault": fault,
            "header": begun.header,
            "columns": columns,
            "shown": [one._asdict() for one in looked[:_SHOWN_ROWS] or shown],
            "looked_at": len(begun.rows),
            "refused_count": len(refused),
            "refused": [one._asdict() for one in refused[:_SHOWN_REFUSED]],
        }

    def _page(self, template: str, request: Request, **values: Any) -> HTMLResponse:
        html = self._pages.get_template(template).render(lang=lang_of(request), title="imports.title", **values)
        return HTMLResponse(html, headers={"Cache-Control": "no-store"})

    def _done(self, request: Request, id_: str) -> Response:
        self.feed.touch(IMPORTS)
        return RedirectResponse("/imports", 303) if wants_page(request) else JSONResponse({"id": id_})

    async def page(self, request: Request) -> Response:
        if not wants_page(request):
            return JSONResponse(msgspec.to_builtins(await self._listed()))
        lang = lang_of(request)
        return self._page(
            "importing.html",
            request,
            live=f"/live?topics={IMPORTS}&lang={lang}",
            state=await self.feed.state(IMPORTS, lang),
            most_mb=self._most_mb,
            header=registry.HEADER,
            required=registry.REQUIRED,
        )

    async def receive(self, request: Request, name: Annotated[str, Query(min_length=1, max_length=200)]) -> Response:
        """The body is the file itself, CSV or XLSX."""
        plain = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
        by = person.name if (person := auth.who()) else "?"
        try:
            id_ = await service.receive(
                self._engine,
                self._shelf,
                request.stream(),
                name=plain or "?",
                by=by,
                most_bytes=self._most_mb * 10**6,
            )
        except service.TooMany as error:
            raise HTTPException(409, str(error)) from error
        except service.TooLarge as error:
            raise HTTPException(413, str(error)) from error
        except BadFile as error:
            raise HTTPException(422, str(error)) from error
        self.feed.touch(IMPORTS)
        return JSONResponse({"id": id_}, 201, headers={"Location": f"/imports/{id_}"})

    async def read(self, request: Request, upload: Id) -> Response:
        row = await self._one(upload)
        ready = row["state"] == State.READY
        if not wants_page(request):
            told = self._told(row) | ({"preview": self._preview(row)} if ready else {})
            return JSONResponse(msgspec.to_builtins(told), headers={"Cache-Control": "no-store"})
        if not ready:
            return RedirectResponse("/imports", 303)
        return self._page("import.html", request, row=row, ours=registry.HEADER, **self._preview(row))

    async def name_columns(self, request: Request, upload: Id, column: Columns = None) -> Response:
        """What each column of the file is, in their order; an empty one is left out."""
        row = await self._one(upload)
        columns = [one if one in registry.HEADER else "" for one in column or []]
        if len(columns) != len(msgspec.json.decode(row["columns"])):
            raise HTTPException(422, "column: give one for each column of the file")
        async with db.writing(self._engine) as connection:
            if not await service.name_columns(connection, upload, columns):
                raise HTTPException(409, "it has begun already")
        if wants_page(request):
            return RedirectResponse(f"/imports/{upload}", 303)
        return JSONResponse(msgspec.to_builtins(self._preview(await self._one(upload))))

    async def start(self, request: Request, upload: Id, column: Columns = None) -> Response:
        """With the columns, or as they were named before."""
        if column is not None:
            await self.name_columns(request, upload, column)
        fault = registry.columns_fault(msgspec.json.decode((await self._one(upload))["columns"]))
        if fault and wants_page(request):
            return RedirectResponse(f"/imports/{upload}", 303)
        if fault:
            raise HTTPException(422, fault)
        async with db.writing(self._engine) as connection:
            if not await service.start(connection, upload):
                raise HTTPException(409, "it has begun already")
        return self._done(request, upload)

    async def stop(self, request: Request, upload: Id) -> Response:
        await self._one(upload)
        async with db.writing(self._engine) as connection:
            if not await service.stop(connection, self._shelf, upload):
                raise HTTPException(409, "it has ended already")
        return self._done(request, upload)

    async def rejected(self, upload: Id) -> Response:
        """Line, reason and cells of each row that was not taken; numbers masked, formulas defused."""
        stored = self._shelf.rejects(await self._one(upload))
        if not stored.path.exists():
            raise HTTPException(404, "no row was refused, or it is more than a week ago")

        def content() -> Iterator[bytes]:
            yield "\N{ZERO WIDTH NO-BREAK SPACE}".encode()  # by it a spreadsheet knows UTF-8
            with stored.read() as file:
                while chunk := file.read(_CHUNK):
                    yield chunk

        headers = {
            "Content-Disposition": f'attachment; filename="rejected-{upload}.csv"',
            "Cache-Control": "no-store",
        }
        return StreamingResponse(content(), media_type="text/csv", headers=headers)


def routes(here: Imports) -> APIRouter:
    router = APIRouter()
    for method, path, answer in (
        ("GET", "/imports", here.page),
        ("POST", "/imports", here.receive),
        ("GET", "/imports/{upload}", here.read),
        ("POST", "/imports/{upload}/columns", here.name_columns),
        ("POST", "/imports/{upload}/start", here.start),
        ("POST", "/imports/{upload}/stop", here.stop),
        ("GET", "/imports/{upload}/rejected.csv", here.rejected),
    ):
        router.add_api_route(path, answer, methods=[method])
    return router
