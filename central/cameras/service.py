"""The only door to the files of boxes."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from central.cameras import rules
from central.cameras.tables import box_file
from central.keys import Keys
from models.wire.topics import Box

_MOST_KEPT = 50
"""Of one box: enough to see who changed what in a year."""


async def newest(connection: AsyncConnection, keys: Keys, box: Box) -> str | None:
    """The box's file as we last knew it. Raises models.wire.seal.Unopenable."""
    row = (
        await connection.execute(
            select(box_file.c.sealed)
            .where(box_file.c.site == box.site, box_file.c.edge == box.edge)
            .order_by(box_file.c.at.desc())
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else keys.opened(row.sealed)


async def keep(connection: AsyncConnection, keys: Keys, box: Box, text: str, *, by: str | None, now: datetime) -> None:
    """What the box goes by; nothing new is no new row."""
    mine = (box_file.c.site == box.site, box_file.c.edge == box.edge)
    rows = (
        await connection.execute(select(box_file.c.at, box_file.c.sha256).where(*mine).order_by(box_file.c.at))
    ).all()
    digest = rules.sha256(text)
    if rows and rows[-1].sha256 == digest:
        return
    if len(rows) >= _MOST_KEPT:
        await connection.execute(delete(box_file).where(*mine, box_file.c.at <= rows[-_MOST_KEPT].at))
    row = {"site": box.site, "edge": box.edge, "at": now, "sha256": digest, "by": by, "sealed": keys.close(text)}
    await connection.execute(box_file.insert().values(**row))
