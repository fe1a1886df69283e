"""How a new box gets its certificate, over HTTPS and before it has one; and how one that has it gets the next."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.authority import CENTRAL, Authority, Refused
from central.enrolment import service

_log = logging.getLogger(__name__)


class Asked(BaseModel):
    code: str = Field(max_length=64)
    request: str = Field(max_length=8192)
    """A certificate request in PEM: the box's key never leaves it."""


class Renewal(BaseModel):
    request: str = Field(max_length=8192)


class Renewed(BaseModel):
    certificate: str


class Enrolled(BaseModel):
    site: str
    edge: str
    certificate: str
    ca: str
    broker: str
    seal_key: str
    sign_key: str


def routes(engine: AsyncEngine, authority: Authority | None, broker: str, keys: Sequence[str]) -> APIRouter:
    """`broker` is what boxes are told to connect to; `keys` are the public ones to seal to and to trust."""
    router = APIRouter()

    def mine() -> Authority:
        if authority is None:
            raise HTTPException(404, "this central has no https in its configuration, so no box comes in")
        return authority

    @router.get("/enrolment/ca", response_class=PlainTextResponse)
    async def ca() -> str:
        return mine().pem.decode()

    @router.post("/enrolment")
    async def enrol(asked: Asked) -> Enrolled:
        signing = mine()
        async with db.writing(engine) as connection:
            box = await service.use(connection, asked.code, datetime.now(UTC))
            if box is None:
                _log.warning("a box showed a code that is unknown, used or too old")
                raise HTTPException(403, "the code is unknown, used or too old; ask for a new one")
            try:
                certificate = signing.sign(box.edge, asked.request.encode())
            except Refused as error:
                raise HTTPException(400, str(error)) from error  # and the code stays good: nothing is committed
        _log.info("%s/%s has enrolled", *box)
        seal_key, sign_key = keys
        return Enrolled(
            site=box.site,
            edge=box.edge,
            certificate=certificate.decode(),
            ca=signing.pem.decode(),
            broker=broker,
            seal_key=seal_key,
            sign_key=sign_key,
        )

    @router.post("/enrolment/renew")
    async def renew(asked: Renewal, request: Request) -> Renewed:
        """The next certificate under the same name: whoever shows one that is still good is believed."""
        signing = mine()
        peer = request.scope.get("peer")
        if peer is None or peer == CENTRAL:
            raise HTTPException(403, "show the box's own certificate; a box that has lost it is invited anew")
        try:
            certificate = signing.sign(peer, asked.request.encode(), shown=request.scope["serial"])
        except Refused as error:
            raise HTTPException(403, str(error)) from error
        _log.info("%s has a new certificate", peer)
        return Renewed(certificate=certificate.decode())

    return router
