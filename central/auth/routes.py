"""Log-in and out, one's own password, the people and their roles, tokens, the log of what everybody did."""

import csv
import io
import secrets
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import jinja2
from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth import rules, service
from central.auth.door import SCREEN, cookie_name, problem
from central.auth.rules import PEOPLE, SCREENS, Role
from models.view.page import clock, lang_of, text, wants_page

_TEN_YEARS = 10 * 365 * 24 * 3600
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
    ) -> Response:
        person, lang = service.who(), lang_of(request)
        if person is None or person.session is None:
            raise HTTPException(403, "a token has no password")
        fault = rules.password_fault(new, person.name)
        if fault is None and not await service.fits(self._engine, person.name, old):
            fault = "auth.old_wrong"
        if fault is not None:
            if not wants_page(request):
                return problem(400, "Unfit password", text(lang, fault))
            return self._page("password.html", request, 400, fault=text(lang, fault), done=False)
        await service.change(self._engine, person.name, password=new, keep_session=person.session)
        if not wants_page(request):
            return Response(status_code=204)
        return self._page("password.html", request, fault="", done=True)

    async def _people_page(self, request: Request, status: int = 200, fault: str = "", secret: str = "") -> Response:
        """The people and tokens there are now; for a program a fault or a secret alone."""
        if fault and not wants_page(request):
            return problem(status, fault)
        async with db.reading(self._engine) as connection:
            accounts = await service.accounts(connection)
            tokens = await service.tokens(connection, datetime.now(UTC))
        if not wants_page(request):
            told = {"people": [asdict(row) for row in accounts], "tokens": [asdict(row) for row in tokens]}
            headers = {"Cache-Control": "no-store"}
            return JSONResponse(jsonable_encoder({"token": secret} if secret else told), status, headers)
        return self._page(
            "people.html",
            request,
            status,
            accounts=accounts,
            tokens=tokens,
            roles=[role.value for role in Role if role in PEOPLE],
            all_roles=[role.value for role in Role],
            screen_roles=[role.value for role in SCREENS],
            fault=fault,
            secret=secret,
        )

    def _changed(self, request: Request) -> Response:
        return RedirectResponse("/people", 303) if wants_page(request) else Response(status_code=204)

    async def people(self, request: Request) -> Response:
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
    ) -> Response:
        lang = lang_of(request)
        request.state.whom = name
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
        return self._changed(request)

    async def make_token(
        self,
        request: Request,
        *,
        name: Name,
        roles: Annotated[list[Role], Form()],
        places: Annotated[str, Form(max_length=2000)] = "",
        days: Annotated[int, Form(ge=1, le=730)] = 90,
        writes: Annotated[bool, Form()] = False,
    ) -> Response:
        person = service.who()
        request.state.whom = name
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

    async def revoke(self, request: Request, name: str) -> Response:
        async with db.writing(self._engine) as connection:
            if not await service.revoke_token(connection, name, datetime.now(UTC)):
                raise HTTPException(404, "no such token")
        return self._changed(request)

    async def pair(self, request: Request) -> Response:
        """On the screen itself: its six digits, until an admin has typed them in."""
        person = service.who()
        cookie = cookie_name(request, SCREEN)
        secret = request.cookies.get(cookie) or secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        if person is None:
            person = await service.by_token(self._engine, secret, now)
        if person is not None and person.screen:
            return RedirectResponse(next(page for role, page in SCREENS.items() if role in person.roles), 303)
        async with db.writing(self._engine) as connection:
            code = await service.ask(connection, secret, now)
        shown = self._page("pair.html", request, code=code)
        shown.headers["Refresh"] = "3"
        secure = request.url.scheme == "https"
        shown.set_cookie(cookie, secret, max_age=_TEN_YEARS, httponly=True, samesite="strict", secure=secure)
        return shown

    async def let_in(
        self,
        request: Request,
        *,
        code: Annotated[str, Form(max_length=20)],
        name: Name,
        role: Annotated[Role, Form()],
        places: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        """The screen that shows these digits, with the one role of its page; it may look and change nothing."""
        person, lang = service.who(), lang_of(request)
        request.state.whom = name
        if role not in SCREENS:
            raise HTTPException(422, f"role: a screen is one of {', '.join(SCREENS)}")
        async with db.writing(self._engine) as connection:
            done = await service.let_in(
                connection,
                code="".join(code.split()),
                name=name,
                role=role,
                places=places.replace(",", " ").split(),
                by=person.name if person else "",
                now=datetime.now(UTC),
            )
        if done is None:
            return await self._people_page(request, 409, text(lang, "auth.taken", name=name))
        if not done:
            return await self._people_page(request, 404, text(lang, "auth.no_code"))
        return self._changed(request)

    async def audit(
        self, request: Request, words: str = "", before: Annotated[int | None, Query(ge=1, lt=2**62)] = None
    ) -> Response:
        async with db.reading(self._engine) as connection:
            rows = await service.audited(connection, words=words[:100], before=before)
            size = await service.audit_size(connection)
        if not wants_page(request):
            return JSONResponse(jsonable_encoder({"size": size, "rows": rows}), headers={"Cache-Control": "no-store"})
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
        ("GET", "/pair", here.pair, False),
        ("POST", "/screens", here.let_in, True),
        ("GET", "/audit", here.audit, True),
        ("GET", "/audit.csv", here.audit_csv, True),
    ):
        router.add_api_route(path, answer, methods=[method], include_in_schema=told)
    return router
