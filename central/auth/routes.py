"""Log-in and out, one's own password, the people and their roles, tokens, the log of what everybody did."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import jinja2
from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import rules, service
from central.auth.door import cookie_name
from central.auth.rules import PEOPLE, Role
from models.view.page import clock, lang_of, text

Name = Annotated[str, Form(pattern=r"^[a-z0-9][a-z0-9._-]{1,39}$")]
_MOST = 200
"""Characters of a password: more is an attack on the hash, not a better password."""


def local(path: str) -> str:
    """A path of ours, and never //elsewhere nor a backslash that a browser takes for a slash."""
    safe = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if safe and path.isprintable() else "/"


class People:
    """Every page and form of this room."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    def _page(self, template: str, request: Request, status: int = 200, **values: object) -> HTMLResponse:
        html = self._pages.get_template(template).render(lang=lang_of(request), **values)
        return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})

    async def login(self, request: Request, next: str = "/") -> HTMLResponse:  # noqa: A002  (the query's own word)
        return self._page("login.html", request, next=local(next), fault="")

    async def enter(
        self,
        request: Request,
        name: Annotated[str, Form(max_length=60)],
        password: Annotated[str, Form(max_length=_MOST)],
        next: Annotated[str, Form()] = "/",  # noqa: A002
    ) -> Response:
        now = datetime.now(UTC)
        answer = await service.enter(self._engine, name.strip().lower(), password, now)
        entered = isinstance(answer, service.Entered)
        async with db.writing(self._engine) as connection:
            known = answer.who.name if isinstance(answer, service.Entered) else "?"
            await service.note(connection, who=known, what="POST /login", outcome="303" if entered else "401")
        if isinstance(answer, service.Refused):
            lang = lang_of(request)
            fault = text(lang, "auth.locked", clock=clock(answer.until)) if answer.until else text(lang, "auth.wrong")
            return self._page("login.html", request, 401, next=local(next), fault=fault)
        done = RedirectResponse(local(next), 303)
        secure = request.url.scheme == "https"
        done.set_cookie(
            cookie_name(request),
            answer.cookie,
            max_age=rules.SESSION_HOURS * 3600,
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return done

    async def leave(self, request: Request) -> Response:
        person = service.who()
        if person is not None and person.session is not None:
            async with db.writing(self._engine) as connection:
                await service.leave(connection, person.session)
        done = RedirectResponse("/login", 303)
        done.delete_cookie(cookie_name(request), httponly=True, samesite="strict")
        done.headers["Clear-Site-Data"] = '"cache"'
        return done

    async def me(self) -> JSONResponse:
        """Who the cookie or token is, and what it opens."""
        person = service.who()
        assert person is not None
        return JSONResponse({"name": person.name, "roles": sorted(person.roles), "places": list(person.places)})

    async def password_page(self, request: Request) -> HTMLResponse:
        return self._page("password.html", request, fault="", done=False)

    async def password(
        self,
        request: Request,
        old: Annotated[str, Form(max_length=_MOST)],
        new: Annotated[str, Form(max_length=_MOST)],
    ) -> HTMLResponse:
        person, lang = service.who(), lang_of(request)
        if person is None or person.session is None:
            raise HTTPException(403, "a token has no password")
        fault = rules.password_fault(new, person.name)
        if fault is None and not await service.fits(self._engine, person.name, old):
            fault = "auth.old_wrong"
        if fault is not None:
            return self._page("password.html", request, 400, fault=text(lang, fault), done=False)
        await service.change(self._engine, person.name, password=new, keep_session=person.session)
        return self._page("password.html", request, fault="", done=True)

    async def _people_page(
        self, request: Request, status: int = 200, fault: str = "", secret: str = ""
    ) -> HTMLResponse:
        async with db.reading(self._engine) as connection:
            accounts = await service.accounts(connection)
            tokens = await service.tokens(connection, datetime.now(UTC))
        return self._page(
            "people.html",
            request,
            status,
            accounts=accounts,
            tokens=tokens,
            roles=[role.value for role in Role if role in PEOPLE],
            all_roles=[role.value for role in Role],
            fault=fault,
            secret=secret,
        )

    async def people(self, request: Request) -> HTMLResponse:
        return await self._people_page(request)

    async def add(
        self,
        request: Request,
        *,
        name: Name,
        full_name: Annotated[str, Form(max_length=80)],
        password: Annotated[str, Form(max_length=_MOST)],
        roles: Annotated[list[Role], Form()],
        places: Annotated[str, Form(max_length=2000)] = "",
    ) -> HTMLResponse:
        lang = lang_of(request)
        if fault := rules.password_fault(password, name):
            return await self._people_page(request, 400, text(lang, fault))
        added = await service.add(
            self._engine,
            name=name,
            full_name=" ".join(full_name.split()),
            password=password,
            roles=set(roles) & PEOPLE,
            places=places.replace(",", " ").split(),
            now=datetime.now(UTC),
        )
        return await self._people_page(
            request, 201 if added else 409, "" if added else text(lang, "auth.taken", name=name)
        )

    async def change(
        self,
        request: Request,
        *,
        name: str,
        roles: Annotated[list[Role] | None, Form()] = None,
        places: Annotated[str | None, Form(max_length=2000)] = None,
        active: Annotated[bool | None, Form()] = None,
        password: Annotated[str, Form(max_length=_MOST)] = "",
    ) -> Response:
        person, lang = service.who(), lang_of(request)
        myself = person is not None and person.name == name
        if myself and (active is False or (roles is not None and Role.ADMIN not in roles)):
            return await self._people_page(request, 409, text(lang, "auth.myself"))
        if password and (fault := rules.password_fault(password, name)):
            return await self._people_page(request, 400, text(lang, fault))
        known = await service.change(
            self._engine,
            name,
            roles=None if roles is None else set(roles) & PEOPLE,
            places=None if places is None else places.replace(",", " ").split(),
            active=active,
            password=password or None,
            keep_session=person.session if myself and person is not None else None,
        )
        if not known:
            raise HTTPException(404, "nobody of that name")
        return RedirectResponse("/people", 303)

    async def make_token(
        self,
        request: Request,
        *,
        name: Name,
        roles: Annotated[list[Role], Form()],
        places: Annotated[str, Form(max_length=2000)] = "",
        days: Annotated[int, Form(ge=1, le=730)] = 90,
        writes: Annotated[bool, Form()] = False,
    ) -> HTMLResponse:
        person = service.who()
        async with db.writing(self._engine) as connection:
            secret = await service.make_token(
                connection,
                name=name,
                roles=roles,
                places=places.replace(",", " ").split(),
                reads_only=not writes,
                by=person.name if person else "",
                days=days,
                now=datetime.now(UTC),
            )
        if secret is None:
            return await self._people_page(request, 409, text(lang_of(request), "auth.taken", name=name))
        return await self._people_page(request, 201, secret=secret)

    async def revoke(self, name: str) -> Response:
        async with db.writing(self._engine) as connection:
            if not await service.revoke_token(connection, name, datetime.now(UTC)):
                raise HTTPException(404, "no such token")
        return RedirectResponse("/people", 303)

    async def audit(
        self, request: Request, words: str = "", before: Annotated[int | None, Query(ge=1, lt=2**62)] = None
    ) -> HTMLResponse:
        async with db.reading(self._engine) as connection:
            rows = await service.audited(connection, words=words[:100], before=before)
            size = await service.audit_size(connection)
        return self._page("audit.html", request, rows=rows, words=words, size=size)

    async def audit_csv(self) -> StreamingResponse:
        """The whole log with its chain of hashes, oldest first."""
        columns = ("number", *rules.AUDITED, "previous", "hash")

        async def lines() -> AsyncIterator[str]:
            yield "﻿" + ",".join(columns) + "\r\n"
            async with db.reading(self._engine) as connection:
                async for row in service.audit_trail(connection):
                    line = io.StringIO()
                    csv.writer(line).writerow([rules.cell(row[name]) for name in columns])
                    yield line.getvalue()

        name = f"audit-{datetime.now(UTC):%Y%m%d-%H%M}.csv"
        return StreamingResponse(
            lines(), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )


def routes(engine: AsyncEngine, pages: jinja2.Environment) -> APIRouter:
    here = People(engine, pages)
    router = APIRouter()
    for method, path, answer, told in (
        ("GET", "/login", here.login, False),
        ("POST", "/login", here.enter, False),
        ("POST", "/logout", here.leave, False),
        ("GET", "/me", here.me, True),
        ("GET", "/password", here.password_page, False),
        ("POST", "/password", here.password, False),
        ("GET", "/people", here.people, True),
        ("POST", "/people", here.add, True),
        ("POST", "/people/{name}", here.change, True),
        ("POST", "/tokens", here.make_token, True),
        ("POST", "/tokens/{name}/revoke", here.revoke, True),
        ("GET", "/audit", here.audit, True),
        ("GET", "/audit.csv", here.audit_csv, True),
    ):
        router.add_api_route(path, answer, methods=[method], include_in_schema=told)
    return router
