"""What a breach came to; and where somebody is named, that an order is broken."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Path, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import BaseModel, BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service as alerts
from central.alerts.rules import BREACH, Cause, Outcome
from central.auth import service as auth
from central.keys import Keys
from central.live import ALERTS
from central.quarantine import service
from models.view.feed import Feed
from models.view.page import lang_of, text


class Resolution(BaseModel):
    outcome: Outcome
    cause: Annotated[Cause | None, BeforeValidator(lambda told: told or None)] = None
    """Of a false alarm."""
    number: Annotated[str, Field(pattern=r"^(?:[0-9]{9}|[0-9]{12})?$")] = ""
    """Who it was: a card's number. It is written nowhere."""
    note: Annotated[str, Field(max_length=500)] = ""

    def fault(self, kind: str) -> Literal["alert.cause_needed", "alert.number_needed", "alert.unfit", ""]:
        """The catalogue's key for what is missing or does not belong."""
        if (kind == BREACH) == (self.outcome is Outcome.HANDLED):
            return "alert.unfit"
        if self.outcome is Outcome.FALSE_ALARM and self.cause is None:
            return "alert.cause_needed"
        return "alert.number_needed" if self.outcome is Outcome.NAMED and not self.number else ""


def routes(engine: AsyncEngine, keys: Keys, feed: Feed) -> APIRouter:
    router = APIRouter()

    @router.post("/alerts/{alert_id}/resolve")
    async def resolve(
        request: Request, alert_id: Annotated[int, Path(ge=1, lt=2**63)], told: Annotated[Resolution, Form()]
    ) -> Response:
        person, lang, now = auth.who(), lang_of(request), datetime.now(UTC)
        assert person is not None
        async with db.writing(engine) as connection:
            row = await alerts.row_of(connection, alert_id)
            if row is None or not person.within(row.site):
                raise HTTPException(404, "no such alert")
            if fault := told.fault(row.kind):
                return PlainTextResponse(text(lang, fault), status_code=422)
            known = None
            if told.outcome is Outcome.NAMED:
                known = await service.named(connection, keys, told.number)
                if known is None:
                    return PlainTextResponse(text(lang, "alert.number_unknown"), status_code=422)
            answer = await alerts.resolve(
                connection,
                alert_id,
                told.outcome,
                cause=told.cause if told.outcome is Outcome.FALSE_ALARM else None,
                note=" ".join(told.note.split()),
                by=person.full_name or person.name,
                now=now,
            )
            if isinstance(answer, alerts.Taken):
                return PlainTextResponse(text(lang, "alert.resolved_by", by=answer.by), status_code=409)
            if known is not None:
                await service.break_order(connection, known, row, by=person.name, now=now)
                whom = keys.key("audit", known.hex()).hex()
                await auth.note(connection, who=person.name, what="order broken", whom=whom, why=f"alert {row.id}")
        feed.touch(ALERTS)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/supervisor", status_code=303)
        return JSONResponse({})

    return router
