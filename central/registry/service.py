"""The only door to residents: who a number belongs to, what is known of them, and the file that fills it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.keys import Keys
from central.registry.rules import Row
from central.registry.tables import change, fact, identity, resident
from models.passes.facts import Fact, Written, parse, standing, to_json
from models.passes.packing import Person

_PAGE = 10_000
ADVERSE = ("status_f0", "status_f1", "status_f2", "order_active", "order_broken", "flagged", "last_test_positive_at")
"""Facts for which a gate anywhere has to know a resident."""


@dataclass(frozen=True, kw_only=True)
class Resident:
    id: bytes
    name_key: str
    birth: str
    ward: str


@dataclass(frozen=True)
class Line:
    """Something to be told of a resident."""

    kind: str
    value: Any
    """A value of the vocabulary, or None to take back what was said."""
    from_: datetime | None = None
    until: datetime | None = None
    supersedes: int | None = None


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


def _history(person: Resident, lines: Sequence[RowMapping], now: datetime) -> list[Written]:
    """What the registry itself says, then the lines in the order in which they were written."""
    own: list[tuple[str, Any]] = [("known", True)]
    own += [("birth_year", int(person.birth[:4]))] if person.birth else []
    own += [("home_ward", person.ward)] if person.ward else []
    history = [
        Written(-number, kind, value, None, None, now, "registry") for number, (kind, value) in enumerate(own, 1)
    ]
    return history + [
        Written(
            id=line["id"],
            kind=line["kind"],
            value=msgspec.json.decode(line["value"]),
            from_=line["from"],
            until=line["until"],
            recorded_at=line["recorded_at"],
            source=line["source"],
            supersedes=line["supersedes"],
        )
        for line in lines
    ]


async def facts_of(connection: AsyncConnection, person: Resident, now: datetime) -> dict[str, Fact]:
    """What is known of a resident now."""
    lines = (await connection.execute(select(fact).where(fact.c.resident == person.id).order_by(fact.c.id))).mappings()
    return standing(_history(person, lines.all(), now), now)


async def write(
    connection: AsyncConnection, person: bytes, lines: Sequence[Line], *, source: str, now: datetime
) -> list[int]:
    """Append to a resident's history; the new lines' ids. Raises BadFact for what is outside the vocabulary."""
    rows = [
        {
            "resident": person,
            "kind": line.kind,
            "value": _spelt(line.kind, line.value),
            "from": (line.from_ or now).replace(microsecond=0),
            "until": line.until and line.until.replace(microsecond=0),
            "source": source,
            "recorded_at": now,
            "supersedes": line.supersedes,
        }
        for line in lines
    ]
    written = [(await connection.execute(fact.insert().values(row).returning(fact.c.id))).scalar_one() for row in rows]
    await connection.execute(change.insert().values(resident=person, at=now))
    return written


def _spelt(kind: str, value: Any) -> str:
    """As the table keeps it. Whole seconds: a gate keeps no smaller ones, and both have to answer alike."""
    if isinstance(value, datetime):
        value = value.replace(microsecond=0)
    return msgspec.json.encode(value if value is None else to_json(parse(kind, value))).decode()


async def carried(
    connection: AsyncConnection, now: datetime, wards: Collection[str] | None
) -> AsyncIterator[list[Person]]:
    """Everybody whom a gate carries, page by page: all, or those of some wards and whoever must not pass anywhere."""
    after, query = b"", select(resident.c.id).order_by(resident.c.id).limit(_PAGE)
    if wards is not None:
        query = query.where(resident.c.ward.in_(wards))
    while page := (await connection.execute(query.where(resident.c.id > after))).scalars().all():
        yield await these(connection, page, now)
        after = page[-1]
    if wards is None:
        return
    adverse = select(fact.c.resident).where(fact.c.kind.in_(ADVERSE), fact.c.value.not_in(["false", "null"]))
    elsewhere = adverse.join(resident, resident.c.id == fact.c.resident).where(resident.c.ward.not_in(wards)).distinct()
    found = (await connection.execute(elsewhere)).scalars().all()
    for start in range(0, len(found), _PAGE):
        yield await these(connection, found[start : start + _PAGE], now)


async def these(connection: AsyncConnection, ids: Sequence[bytes], now: datetime) -> list[Person]:
    """Residents as a gate carries them."""
    people = await db.rows_with(
        connection, select(resident.c.id, resident.c.name_key, resident.c.birth, resident.c.ward), resident.c.id, ids
    )
    keys: dict[bytes, list[int]] = defaultdict(list)
    outside = select(identity.c.resident, identity.c.outside).where(identity.c.outside.is_not(None))
    for row in await db.rows_with(connection, outside, identity.c.resident, ids):
        keys[row.resident].append(int.from_bytes(row.outside, "big"))
    lines: dict[bytes, list[RowMapping]] = defaultdict(list)
    for row in await db.rows_with(connection, select(fact).order_by(fact.c.id), fact.c.resident, ids):
        lines[row.resident].append(row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for it)
    return [
        Person(
            keys[row.id],
            row.name_key,
            row.birth,
            _history(Resident(id=row.id, name_key=row.name_key, birth=row.birth, ward=row.ward), lines[row.id], now),
        )
        for row in people
    ]


async def newest_change(connection: AsyncConnection) -> int:
    """The last change that is committed, with none before it still on its way."""
    if connection.dialect.name == "postgresql":
        # ids become visible out of order: wait for whoever has taken one
        await connection.execute(text("LOCK TABLE change IN SHARE MODE"))
    return (await connection.execute(select(func.max(change.c.id)))).scalar_one() or 0


async def changes(connection: AsyncConnection, after: int) -> int:
    """How many changes there are since; the number, not the last id, tells of those that became visible late."""
    query = select(func.count()).select_from(change).where(change.c.id > after)
    return (await connection.execute(query)).scalar_one()


async def changed(connection: AsyncConnection, after: int) -> list[bytes] | None:
    """Residents who changed since; None when there are too many to name."""
    found = (await connection.execute(select(change.c.resident).where(change.c.id > after).distinct())).scalars().all()
    return None if None in found else list(found)


async def forget_changes(connection: AsyncConnection, until: int) -> None:
    """Those that every snapshot holds; the last one stays, so that its number is never given again."""
    await connection.execute(delete(change).where(change.c.id < until))


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
                    identities.append(
                        {
                            "key": key,
                            "resident": owner,
                            "kind": kind,
                            "tail": value[-3:],
                            "outside": keys.outside(kind, value),
                        }
                    )
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
                wanted[owner, told.kind] = (_spelt(told.kind, told.value), told.since)
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
        await connection.execute(change.insert(), [{"resident": None, "at": now}])
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
