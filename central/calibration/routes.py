"""How many do you see? The page shows the picture and not what was counted, so that nobody repeats the machine."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.service import who
from central.calibration import rules, service
from central.calibration.rules import Unfit
from central.calibration.service import Counted
from central.cameras import rules as files
from central.cameras import service as cameras
from central.crowd import service as crowd
from central.history import service as history
from central.history.rules import Zone
from central.inbox.asking import Boxes, NoAnswer, NotTaken
from central.keys import Keys
from central.stills import Stills
from models.view.page import lang_of, text
from models.wire.topics import Box

Name = Annotated[str, Path(max_length=128)]
_TOLD = timedelta(minutes=2)
"""What does not change is told once a minute: the last word before a picture is at most this old."""


def _which(site: Name, edge: Name, camera: Name, zone: Name) -> Zone:
    person = who()
    if person is None or not person.within(site):
        raise HTTPException(404)
    return site, edge, camera, zone


Which = Annotated[Zone, Depends(_which)]


def _by() -> str:
    person = who()
    assert person is not None
    return person.full_name or person.name


async def _gone_by(lang: str, act: Callable[[], Any]) -> Any:
    try:
        return await act()
    except Unfit as error:
        raise HTTPException(409, text(lang, f"crowd.{error.key}")) from error
    except NoAnswer as error:
        raise HTTPException(409, text(lang, "cameras.no_answer")) from error
    except NotTaken as error:
        raise HTTPException(409, text(lang, "cameras.not_taken")) from error


def routes(engine: AsyncEngine, keys: Keys, boxes: Boxes, pages: jinja2.Environment, stills: Stills) -> APIRouter:
    router = APIRouter(prefix="/traffic/{site}/{edge}/{camera}/{zone}")

    @router.get("/count", response_class=HTMLResponse)
    async def page(request: Request, zone: Which) -> HTMLResponse:
        still = stills.get(zone[:3], datetime.now(UTC))
        async with db.reading(engine) as connection:
            counts = await service.counts(connection, zone)
            known = (await crowd.districts(connection)).get((zone[0], zone[2], zone[3]))
        return HTMLResponse(
            pages.get_template("count.html").render(
                lang=lang_of(request),
                title="desk.traffic",
                zone=zone,
                street=known[0] if known else zone[3],
                still_at=still.taken_at if still else None,
                counts=counts,
                scale=rules.fit([(one.counted, one.seen) for one in counts]),
                enough=rules.ENOUGH,
            )
        )

    @router.post("/count")
    async def count(
        request: Request,
        zone: Which,
        seen: Annotated[int, Form(ge=0, le=2000)],
        taken_at: Annotated[datetime, Form()],
    ) -> Response:
        """What somebody saw on the picture of that moment."""
        lang, box, now = lang_of(request), Box(zone[0], zone[1]), datetime.now(UTC)
        if taken_at.tzinfo is None or not now - timedelta(hours=1) < taken_at <= now:
            raise HTTPException(422, text(lang, "crowd.old_picture"))

        async def scale() -> float:
            return rules.scale_of(files.read(await boxes.file_of(box)), zone[2], zone[3])

        by = await _gone_by(lang, scale)
        async with db.writing(engine) as connection:
            told = await history.minutes(connection, zone, taken_at - _TOLD, taken_at + timedelta(microseconds=1))
            if not told:
                raise HTTPException(409, text(lang, "crowd.not_counted"))
            await service.put(
                connection,
                zone,
                Counted(taken_at=taken_at, seen=seen, counted=told[-1].bodies / by, by=_by(), at=now),
            )
        return RedirectResponse(f"/traffic/{'/'.join(zone)}/count", status_code=303)

    @router.post("/scale")
    async def scale(request: Request, zone: Which) -> Response:
        """What the counts come to goes into the box's file; it says that it goes by it."""
        lang, box = lang_of(request), Box(zone[0], zone[1])
        async with db.reading(engine) as connection:
            counts = await service.counts(connection, zone)
        fitted = rules.fit([(one.counted, one.seen) for one in counts])
        if fitted is None:
            raise HTTPException(409, text(lang, "crowd.too_few"))

        async def send() -> str:
            new = files.write(rules.with_scale(files.read(await boxes.file_of(box)), zone[2], zone[3], fitted))
            answer = await boxes.ask(box, "check", yaml=new)
            if answer.refused is not UNSET:
                raise HTTPException(422, text(lang, "cameras.refused", why=answer.refused))
            await boxes.send(box, new)
            return new

        new = await _gone_by(lang, send)
        async with db.writing(engine) as connection:
            await cameras.keep(connection, keys, box, new, by=_by(), now=datetime.now(UTC))
        return RedirectResponse(f"/traffic/{'/'.join(zone)}/count", status_code=303)

    return router
