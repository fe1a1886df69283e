"""The only door to dead letters: what came and could not be used, and can be tried again once the fault is mended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.inbox.intake import Desk, Message, take
from central.inbox.tables import dead_letter, event
from models.wire.events import join

_AT_ONCE = 16
"""Payloads in memory: each can be as large as a broker lets through."""
_LATE = timedelta(days=1)


@dataclass(frozen=True)
class Replayed:
    """How many letters are events now, how many still are none, and which screens must know."""

    used: int = 0
    still: int = 0
    touched: frozenset[str] = frozenset()


async def newest(connection: AsyncConnection, limit: int) -> list[RowMapping]:
    """Without their payloads."""
    columns = [column for column in dead_letter.c if column.name != "payload"]
    query = select(*columns, func.length(dead_letter.c.payload).label("bytes"))
    return list((await connection.execute(query.order_by(dead_letter.c.received_at.desc()).limit(limit))).mappings())


async def count(connection: AsyncConnection) -> int:
    counted: int = (await connection.execute(select(func.count()).select_from(dead_letter))).scalar_one()
    return counted


async def payload(connection: AsyncConnection, digest: bytes) -> bytes | None:
    found = await connection.execute(select(dead_letter.c.payload).where(dead_letter.c.digest == digest))
    told: bytes | None = found.scalar_one_or_none()
    return told


async def late(connection: AsyncConnection, now: datetime) -> dict[str, int]:
    """How many events of the last day came too late to be news, by box (site/edge)."""
    query = select(event.c.site, event.c.edge, func.count()).where(event.c.late, event.c.received_at > now - _LATE)
    rows = await connection.execute(query.group_by(event.c.site, event.c.edge))
    return {f"{site}/{edge}": number for site, edge, number in rows}


async def replay(desk: Desk, now: datetime, digests: Sequence[bytes] | None = None) -> Replayed:
    """Take these (or all) as if they had come now. What can be used leaves the dead letters; the rest stays, stamped.

    Ended at any moment it can be begun again: an event that is there already causes nothing.
    """
    if digests is None:
        async with db.reading(desk.engine) as connection:
            digests = list((await connection.execute(select(dead_letter.c.digest))).scalars())
    done = Replayed()
    for start in range(0, len(digests), _AT_ONCE):
        async with db.reading(desk.engine) as connection:
            among = select(dead_letter).where(dead_letter.c.digest.in_(digests[start : start + _AT_ONCE]))
            rows = list((await connection.execute(among)).mappings())
        taken = await take(desk, [Message(row["topic"], _whole(row)) for row in rows], now)
        tried = {row["digest"] for row in rows}
        still = tried & taken.buried
        async with db.writing(desk.engine) as connection:
            await connection.execute(delete(dead_letter).where(dead_letter.c.digest.in_(tried - still)))
            await connection.execute(update(dead_letter).where(dead_letter.c.digest.in_(still)).values(tried_at=now))
        done = replace(
            done,
            used=done.used + len(tried) - len(still),
            still=done.still + len(still),
            touched=done.touched | taken.touched,
        )
    return done


def _whole(row: RowMapping) -> bytes:
    """A letter is a message that was no batch, or one element of a batch."""
    raw: bytes = row["payload"]
    return raw if row["reason"].startswith("batch:") else join([raw])
