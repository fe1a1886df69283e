"""The only door to our own passes: issue one to a resident, take one back, and tell the gates which were."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from central import db
from central.issuing.tables import issued
from central.keys import Keys
from central.registry import service as registry
from models.passes import city_pass, revocation
from models.passes.city_pass import CityPass
from models.passes.trust import Signer

ISSUER = "VN-HN"
MOST_HOURS = 72
"""As long as a declaration holds; whoever loses a pass does not lose it for long."""


class Unknown(ValueError):
    """Nobody has this number: a pass is issued to residents only."""


async def issue(
    connection: AsyncConnection, keys: Keys, kind: str, number: str, *, hours: int, by: str, now: datetime
) -> tuple[str, str]:
    """The pass's id and the QR code's text. Raises Unknown or city_pass.BadPass."""
    person = await registry.resolve(connection, [keys.key(kind, number)])
    row = await registry.read(connection, person.id) if person else None
    if person is None or row is None:
        raise Unknown("no resident has this number; import or register the person first")
    now = now.replace(microsecond=0)
    made = CityPass(
        id=secrets.token_bytes(8),
        issuer=ISSUER,
        issued_at=now,
        expires_at=now + timedelta(hours=min(hours, MOST_HOURS)),
        ids=((kind, number),),
        name=row[0]["name"],
        birth=row[0]["birth"],
    )
    text = city_pass.issue(made, Signer(keys.passes[0]).sign)
    await db.insert_new(
        connection,
        issued,
        "id",
        [
            {
                "id": made.id.hex(),
                "resident": person.id,
                "issued_at": now,
                "expires_at": made.expires_at,
                "by": by,
                "revoked_at": None,
                "revoked_by": None,
            }
        ],
    )
    return made.id.hex(), text


async def revoke(connection: AsyncConnection, name: str, *, by: str, now: datetime) -> bool:
    """False: there is no such pass, or it is taken back already."""
    changed = await connection.execute(
        update(issued).where(issued.c.id == name, issued.c.revoked_at.is_(None)).values(revoked_at=now, revoked_by=by)
    )
    return changed.rowcount > 0


async def for_gates(connection: AsyncConnection, now: datetime) -> list[tuple[str, bytes]]:
    """(kind, content) of what every gate gets of this room: the passes taken back that would still be good."""
    version = (
        await connection.execute(select(func.count()).where(issued.c.revoked_at.is_not(None)).select_from(issued))
    ).scalar_one()
    if not version:
        return []
    query = select(issued.c.id).where(issued.c.revoked_at.is_not(None), issued.c.expires_at > now).order_by(issued.c.id)
    return [("revoked", revocation.whole(version, (await connection.execute(query)).scalars()))]
