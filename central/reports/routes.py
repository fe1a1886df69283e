"""A street's day as a curve, and each district's day on paper; as a page, as JSON and as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.rules import cell
from central.auth.service import places_here, who
from central.crowd import service as crowd
from central.history import service as history
from central.history.rules import Span, Zone
from central.reports import rules
from central.reports.rules import Report
from central.sites import service as sites
from models.hours import LOCAL
from models.limits import Limits
from models.view.page import lang_of

Name = Annotated[str, Path(max_length=128)]
Day = Annotated[date | None, Query(description="Viet Nam's day; without it the last 24 hours, of a report yesterday")]
_NOTHING = timedelta()


def _which(site: Name, edge: Name, camera: Name, zone: Name) -> Zone:
    return site, edge, camera, zone


Which = Annotated[Zone, Depends(_which)]


def _csv(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """For a spreadsheet, which must take no cell for a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([cell("" if value is None else value) for value in row] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response("\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _since(day: date | None) -> datetime:
    if day is not None:
        return rules.day_of(day)[0]
    minutes = datetime.now(UTC).timestamp() // rules.STEP.total_seconds() + 1
    return datetime.fromtimestamp(minutes * rules.STEP.total_seconds(), UTC) - rules.DAY


class Reports:
    """Reads the rows of the days asked for; holds nothing."""

    def __init__(self, engine: AsyncEngine, limits: Limits | None) -> None:
        self._engine = engine
        self.limits = limits

    async def day(self, zone: Zone, since: datetime) -> tuple[list[Span], list[Span], tuple[str, str] | None]:
        """The day's minutes, those of a week before, and which street of which district it is."""
        person = who()
        if person is None or not person.within(zone[0]):
            raise HTTPException(404)
        async with db.reading(self._engine) as connection:
            now = await history.minutes(connection, zone, since, since + rules.DAY)
            before = await history.minutes(connection, zone, since - rules.WEEK, since - rules.WEEK + rules.DAY)
            known = (await crowd.districts(connection)).get((zone[0], zone[2], zone[3]))
        return now, before, known

    async def morning(self, day: date | None) -> tuple[date, list[Report]]:
        day = day or (datetime.now(LOCAL) - rules.DAY).date()
        since, until = rules.day_of(day)
        places = places_here()
        async with db.reading(self._engine) as connection:
            names = await crowd.districts(connection)
            told = await history.hours(connection, since, until)
            covered = await sites.coverage(connection, since, until)
            warnings = await crowd.warnings_of(connection, since, until, places)
            zones = {
                (row.site, row.edge, row.camera, row.zone) for row in await crowd.streets(connection)
            } | told.keys()
        lines = []
        for zone in sorted(zones):
            site, edge, camera, name = zone
            if places and site not in places:
                continue
            street, district = names.get((site, camera, name), (name, ""))
            seen = covered.get((site, edge, camera))
            lines.append((district, rules.line(zone, street, told.get(zone, []), seen.seen if seen else _NOTHING)))
        return day, rules.reports(lines, warnings)


def routes(engine: AsyncEngine, pages: jinja2.Environment, limits: Limits | None) -> APIRouter:
    router = APIRouter()
    one = APIRouter(prefix="/traffic/{site}/{edge}/{camera}/{zone}")
    source = Reports(engine, limits)

    @router.get("/traffic/report", response_class=HTMLResponse)
    async def report(request: Request, day: Day = None) -> HTMLResponse:
        told, found = await source.morning(day)
        page = pages.get_template("report.html")
        return HTMLResponse(
            page.render(lang=lang_of(request), title="crowd.report", day=told, reports=found, made_at=datetime.now(UTC))
        )

    @router.get("/traffic/report.json")
    async def report_json(day: Day = None) -> list[dict[str, Any]]:
        """Each district's day: its streets, the fullest first, and what it was warned of."""
        _, found = await source.morning(day)
        return [asdict(report) for report in found]

    @router.get("/traffic/report.csv")
    async def report_csv(day: Day = None) -> Response:
        told, found = await source.morning(day)
        head = ("district", "street", "site", "camera", "zone", "seen_minutes", "mean", "most", "most_at")
        rows = [
            (
                told_of.district, line.street, line.zone[0], line.zone[2], line.zone[3],
                line.seen // timedelta(minutes=1), None if line.mean is None else f"{line.mean:.1f}", line.most,
                line.most_at and line.most_at.isoformat(),
            )
            for told_of in found
            for line in told_of.lines
        ]  # fmt: skip
        return _csv(f"report-{told}", head, rows)

    @one.get("", response_class=HTMLResponse)
    async def street(request: Request, zone: Which, day: Day = None) -> HTMLResponse:
        since = _since(day)
        now, before, known = await source.day(zone, since)
        return HTMLResponse(
            pages.get_template("street.html").render(
                lang=lang_of(request),
                title="desk.traffic",
                chart=rules.chart(now, before, since, source.limits),
                zone=zone,
                street=known[0] if known else zone[3],
                district=known[1] if known else "",
                since=since,
                until=since + rules.DAY,
                day=day,
                spans=now,
            )
        )

    @one.get("/series.json")
    async def series(zone: Which, day: Day = None) -> list[Span]:
        """The day by the minute; a minute of which nothing was told is not there."""
        return (await source.day(zone, _since(day)))[0]

    @one.get("/series.csv")
    async def series_csv(zone: Which, day: Day = None) -> Response:
        now, _, _ = await source.day(zone, _since(day))
        head = ("minute", "looks", "bodies", "most", "low", "high", "density", "flow_in", "flow_out")
        rows = [
            (span.began.isoformat(), span.looks, f"{span.bodies:.1f}", span.most, span.low, span.high, span.density,
             span.flow_in, span.flow_out)
            for span in now
        ]  # fmt: skip
        return _csv("street", head, rows)

    router.include_router(one)
    return router
