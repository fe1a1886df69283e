"""The only door to one-time codes: a new box shows one, once, and gets a certificate for it."""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.authority import CENTRAL, Refused
from central.enrolment.tables import enrolment
from models.wire.topics import Box

VALID = timedelta(hours=24)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


async def invite(connection: AsyncConnection, box: Box, now: datetime) -> str:
    """A code for this box, good for a day and for one use. Raises Refused for a name that cannot be a box's."""
    if not all(_NAME.fullmatch(name) for name in box) or box.edge == CENTRAL:
        raise Refused(f"{box.site}/{box.edge}: write small letters, digits, '.', '-' and '_'; {CENTRAL!r} is taken")
    code = secrets.token_urlsafe(18)
    row = {"code": _digest(code), "site": box.site, "edge": box.edge, "until": now + VALID, "used_at": None}
    await db.insert_new(connection, enrolment, "code", [row])
    return code


async def use(connection: AsyncConnection, code: str, now: datetime) -> Box | None:
    """Whose code it is; from now on nobody's. Of two who show it at once one gets it."""
    used = await connection.execute(
        update(enrolment)
        .where(enrolment.c.code == _digest(code), enrolment.c.used_at.is_(None), enrolment.c.until > now)
        .values(used_at=now)
        .returning(enrolment.c.site, enrolment.c.edge)
    )
    row = used.one_or_none()
    return Box(row.site, row.edge) if row else None
