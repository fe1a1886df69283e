"""The only door to residents: who a number belongs to, what is known of them, and the file that fills it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.keys import Keys
from central.registry.rules import Row
from central.registry.tables import fact, identity, resident
from models.passes.facts import Fact, parse, to_json

_ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Resident:
    id: bytes
    name_key: str
    birth: str
    ward: str


@dataclass(frozen=True)
class Rejected:
    line: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Imported:
    new: int = 0
    known: int = 0
    facts: int = 0
    rejected: tuple[Rejected, ...] = ()


async def resolve(connection: AsyncConnection, keys: Sequence[bytes]) -> Resident | None:
    """Whom the first known key belongs to; keys come best first."""
    if not keys:
        return None
    rows = await connection.execute(
        select(identity.c.key, resident.c.id, resident.c.name_key, resident.c.birth, resident.c.ward)
        .join(resident, resident.c.id == identity.c.resident)
        .where(identity.c.key.in_(keys))
    )
    found = {row.key: row for row in rows}
    first = next((found[key] for key in keys if key in found), None)
    if first is None:
        return None
    return Resident(id=first.id, name_key=first.name_key, birth=first.birth, ward=first.ward)


async def facts_of(connection: AsyncConnection, person: Resident, now: datetime) -> dict[str, Fact]:
    """What is known of a resident: the newest row of each kind, and what the registry itself says."""
    facts = {"known": Fact(value=True, from_=_ALWAYS, until=None, recorded_at=now, source="registry")}
    if person.birth:
        facts["birth_year"] = Fact(int(person.birth[:4]), _ALWAYS, None, now, "registry")
    if person.ward:
        facts["home_ward"] = Fact(parse("home_ward", person.ward), _ALWAYS, None, now, "registry")
    rows = await connection.execute(
        select(fact)
        .where(
            fact.c.resident == person.id,
            or_(fact.c["from"].is_(None), fact.c["from"] <= now),
            or_(fact.c.until.is_(None), fact.c.until > now),
        )
        .order_by(fact.c.id)
    )
    for row in rows.mappings():
        value = msgspec.json.decode(row["value"])
        if value is None:
            facts.pop(row["kind"], None)  # taken back
            continue
        facts[row["kind"]] = Fact(
            value=parse(row["kind"], value),
            from_=row["from"],
            until=row["until"],
            recorded_at=row["recorded_at"],
            source=row["source"],
        )
    return facts


async def take_rows(engine: AsyncEngine, keys: Keys, rows: Mapping[int, Row], source: str, now: datetime) -> Imported:
    """Bring rows (line number -> row) in, in one transaction. Doing it again changes nothing.

    `now` is the import's own moment, the same for all its batches: it tells a number that stands twice in one file.
    """
    named = {line: tuple(keys.key(kind, value) for kind, value in row.ids) for line, row in rows.items()}
    rejected: list[Rejected] = []
    async with db.writing(engine) as connection:
        every = list({key for mine in named.values() for key in mine})
        owners = {
            row.key: (row.resident, row.imported_at)
            for row in await db.rows_with(
                connection,
                select(identity.c.key, identity.c.resident, resident.c.imported_at).join(
                    resident, resident.c.id == identity.c.resident
                ),
                identity.c.key,
                every,
            )
        }
        residents: list[dict[str, Any]] = []
        identities: list[dict[str, Any]] = []
        wanted: dict[tuple[bytes, str], tuple[str, datetime | None]] = {}
        known: list[bytes] = []
        new = 0
        for line, mine in named.items():
            row = rows[line]
            owner, seen_at = owners.get(mine[0], (mine[0], None))
            if seen_at == now:
                rejected.append(Rejected(line, "number: stands in this file more than once; the first row counts"))
                continue
            if any(owners.get(key, (owner, None))[0] != owner for key in mine):
                rejected.append(Rejected(line, "qid: belongs to another resident"))
                continue
            new += seen_at is None
            if seen_at is not None:
                known.append(owner)
            for key, (kind, value) in zip(mine, row.ids, strict=True):
                if key not in owners:
                    identities.append({"key": key, "resident": owner, "kind": kind, "tail": value[-3:]})
                owners[key] = (owner, now)
            residents.append(
                {
                    "id": owner,
                    "name": row.name,
                    "name_key": row.name_key,
                    "birth": row.birth,
                    "sex": row.sex,
                    "ward": row.ward,
                    "imported_at": now,
                }
            )
            for told in row.facts:
                wanted[owner, told.kind] = (msgspec.json.encode(to_json(told.value)).decode(), told.since)
        if residents:
            # in the order of the index: its pages are written one after the other
            residents.sort(key=itemgetter("id"))
            identities.sort(key=itemgetter("key"))
            upsert = db.insert(connection, resident)
            changing = {name: upsert.excluded[name] for name in residents[0] if name != "id"}
            await db.write_many(
                connection, upsert.on_conflict_do_update(index_elements=["id"], set_=changing), residents
            )
        await db.write_many(connection, identity.insert(), identities)
        facts = await _append_facts(connection, wanted, known, source, now)
    return Imported(new=new, known=len(residents) - new, facts=facts, rejected=tuple(rejected))


async def _append_facts(
    connection: AsyncConnection,
    wanted: Mapping[tuple[bytes, str], tuple[str, datetime | None]],
    known: Sequence[bytes],
    source: str,
    now: datetime,
) -> int:
    """Append those that say something new; how many. Only of the residents in `known` anything was said before."""
    rows = await db.rows_with(
        connection,
        select(fact.c.id, fact.c.resident, fact.c.kind, fact.c.value, fact.c["from"].label("since")).order_by(
            fact.c.id
        ),
        fact.c.resident,
        known,
    )
    current = {(row.resident, row.kind): row for row in rows}
    appended = []
    for (person, kind), (value, since) in wanted.items():
        before = current.get((person, kind))
        if before and before.value == value and since in {None, before.since}:
            continue
        appended.append(
            {
                "resident": person,
                "kind": kind,
                "value": value,
                "from": since or now,
                "until": None,
                "source": source,
                "recorded_at": now,
                "supersedes": before.id if before else None,
            }
        )
    await db.write_many(connection, fact.insert(), appended)
    return len(appended)
