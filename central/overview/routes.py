"""The command centre's page."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

import jinja2
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.alerts import service as alerts
from central.auth.service import places_here
from central.crowd import service as crowd
from central.live import OVERVIEW, desk
from central.overview import rules
from central.passes import service as passes
from central.sites import service as sites
from models.passes.outcome import Outcome
from models.view.feed import Feed
from models.view.page import HANOI, lang_of

_CROWDED = 3


class Overview:
    """Reads the open state, whole, each time; holds nothing."""

    def __init__(self, engine: AsyncEngine, pages: jinja2.Environment) -> None:
        self._engine = engine
        self._pages = pages

    async def render(self, lang: str, places: tuple[str, ...]) -> str:
        now = datetime.now(UTC)
        async with db.reading(self._engine) as connection:
            waiting = await alerts.open_alerts(connection, places)
            cameras = await sites.cameras(connection, places)
            boxes = await sites.edges(connection, places)
            streets = [row for row in await crowd.streets(connection) if not places or row.site in places]
            today = await passes.answers(connection, _midnight(now), places)
        rows = rules.places(
            [(row.site, row.first_at) for row in waiting],
            [(row.site, row.seen) for row in cameras],
            [(row.site, row.online) for row in boxes],
            [(row.site, row.level is not None and row.level >= _CROWDED) for row in streets],
        )
        counts = {outcome: sum(n for (_, of), n in today.items() if of is outcome) for outcome in Outcome}
        return self._pages.get_template("overview.html").render(
            lang=lang, places=rows, cameras=cameras, today=counts, drawn=now.strftime("%d%H%M")[:-1]
        )


def _midnight(now: datetime) -> datetime:
    """Hanoi's."""
    return now.astimezone(HANOI).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


async def _week(connection: AsyncConnection, places: Sequence[str], now: datetime) -> tuple[rules.Hour, ...]:
    since = rules.first_hour(now)
    answers = await passes.answers(connection, since, places)
    return rules.hours(answers, await alerts.raised_since(connection, since, places), now)


def routes(engine: AsyncEngine, feed: Feed, pages: jinja2.Environment) -> APIRouter:
    router = APIRouter()

    @router.get("/overview", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        return await desk(feed, pages, request, topic=OVERVIEW, title="overview.title", places=places_here())

    @router.get("/overview/week.svg", response_class=Response)
    async def picture(request: Request) -> Response:
        """Passes by answer and alerts of each of the last 168 hours, drawn."""
        async with db.reading(engine) as connection:
            told = await _week(connection, places_here(), datetime.now(UTC))
        drawn = pages.get_template("week.svg").render(
            lang=lang_of(request),
            week=told,
            days=rules.days(told, HANOI),
            passes_top=rules.ceiling(max(hour.passes for hour in told)),
            alerts_top=rules.ceiling(max(hour.alerts for hour in told)),
        )
        return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=60"})

    @router.get("/overview/week")
    async def rows() -> list[dict[str, str | int]]:
        """The same as rows: the hour's beginning (UTC), how many PASS, CHECK and FAIL, how many alerts."""
        async with db.reading(engine) as connection:
            return [_row(hour) for hour in await _week(connection, places_here(), datetime.now(UTC))]

    @router.get("/overview/week.csv", response_class=Response)
    async def table() -> Response:
        async with db.reading(engine) as connection:
            told = [_row(hour) for hour in await _week(connection, places_here(), datetime.now(UTC))]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(told[0]))
        writer.writeheader()
        writer.writerows(told)
        return Response(
            text.getvalue(),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="week.csv"'},
        )

    return router


def _row(hour: rules.Hour) -> dict[str, str | int]:
    counts = {str(outcome): hour.answers[outcome] for outcome in Outcome}
    return {"hour": hour.at.isoformat()} | counts | {"alerts": hour.alerts}
