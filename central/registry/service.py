"""The only door to residents: who a number belongs to, what is known of them, and the file that fills it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.keys import Keys, Namer
from central.registry.bulk import Merge, Merged, spelt, stage
from central.registry.rules import Line, Row
from central.registry.tables import change, fact, identity, resident, zone
from models.passes.facts import Fact, Written, apart, parse, standing
from models.passes.packing import Person

_PAGE = 10_000
ADVERSE = ("status_f0", "status_f1", "status_f2", "order_active", "order_broken", "flagged", "last_test_positive_at")
"""Facts for which a gate anywhere has to know a resident."""
_CANDIDATES = 20
_SHOWN = 100
_DECREED = select(zone).order_by(zone.c.id)


@dataclass(frozen=True, kw_only=True)
class Resident:
    id: bytes
    name_key: str
    birth: str
    ward: str


async def resolve(connection: AsyncConnection, keys: Sequence[bytes]) -> Resident | None:
    """Whom the first known key belongs to; keys come best first."""
    return (await resolve_all(connection, [keys]))[0]


async def resolve_all(connection: AsyncConnection, asked: Sequence[Sequence[bytes]]) -> list[Resident | None]:
    """The same for many at once, in one query."""
    rows = await db.rows_with(
        connection,
        select(identity.c.key, resident.c.id, resident.c.name_key, resident.c.birth, resident.c.ward).join(
            resident, resident.c.id == identity.c.resident
        ),
        identity.c.key,
        list({key for keys in asked for key in keys}),
    )
    found = {row.key: Resident(id=row.id, name_key=row.name_key, birth=row.birth, ward=row.ward) for row in rows}
    return [next((found[key] for key in keys if key in found), None) for keys in asked]


def _history(
    person: Resident, lines: Sequence[RowMapping], decreed: Sequence[RowMapping], now: datetime
) -> list[Written]:
    """What the registry itself says, then the lines in the order in which they were written."""
    own: list[tuple[str, Any]] = [("known", True)]
    own += [("birth_year", int(person.birth[:4]))] if person.birth else []
    own += [("home_ward", person.ward)] if person.ward else []
    history = [
        Written(-number, kind, value, None, None, now, "registry") for number, (kind, value) in enumerate(own, 1)
    ]
    # negative, so that they are nobody else's; no line supersedes them
    history += [
        Written(-row["id"] - 10, "home_zone", row["level"], row["from"], row["until"], now, "decree")
        for row in decreed
        if row["ward"] == person.ward
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


async def by_ids(connection: AsyncConnection, ids: Sequence[bytes]) -> dict[bytes, Resident]:
    query = select(resident.c.id, resident.c.name_key, resident.c.birth, resident.c.ward)
    rows = await db.rows_with(connection, query, resident.c.id, list(set(ids)))
    return {row.id: Resident(id=row.id, name_key=row.name_key, birth=row.birth, ward=row.ward) for row in rows}


async def facts_of(connection: AsyncConnection, person: Resident, now: datetime) -> dict[str, Fact]:
    """What is known of a resident now."""
    return (await facts_of_all(connection, [(person, now)]))[0]


async def facts_of_all(
    connection: AsyncConnection, asked: Sequence[tuple[Resident, datetime]]
) -> list[dict[str, Fact]]:
    """What is known of each at their moment, in two queries."""
    lines: dict[bytes, list[RowMapping]] = defaultdict(list)
    query = select(fact).order_by(fact.c.id)
    for row in await db.rows_with(connection, query, fact.c.resident, list({person.id for person, _ in asked})):
        line = row._mapping  # noqa: SLF001  (its public name, in spite of the underscore)
        lines[line["resident"]].append(line)
    wards = sorted({person.ward for person, _ in asked if person.ward})
    decreed = (await connection.execute(_DECREED.where(zone.c.ward.in_(wards)))).mappings().all() if wards else []
    return [standing(_history(person, lines[person.id], decreed, at), at) for person, at in asked]


async def write(
    connection: AsyncConnection, person: bytes, lines: Sequence[Line], *, source: str, now: datetime
) -> list[int]:
    """Append to a resident's history; the new lines' ids. A line that names none supersedes the newest of its kind.

    Raises BadFact for what is outside the vocabulary.
    """
    written = []
    for line in lines:
        newest = select(func.max(fact.c.id)).where(fact.c.resident == person, fact.c.kind == line.kind)
        values = {
            "resident": person,
            "kind": line.kind,
            "value": spelt(None if line.value is None else parse(line.kind, line.value)),
            "from": (line.from_ or now).replace(microsecond=0),
            "until": line.until and line.until.replace(microsecond=0),
            "source": source,
            "recorded_at": now,
            "supersedes": line.supersedes or (await connection.execute(newest)).scalar_one(),
        }
        written.append((await connection.execute(fact.insert().values(values).returning(fact.c.id))).scalar_one())
    await connection.execute(change.insert().values(resident=person, at=now))
    return written


async def correct(
    connection: AsyncConnection, line: int, value: Any, *, until: datetime | None, source: str, now: datetime
) -> int | None:
    """A new line in the place of another, from its beginning on; the old one stays to be read. None: no such line."""
    row = (await connection.execute(select(fact).where(fact.c.id == line))).mappings().first()
    if row is None:
        return None
    corrected = Line(row["kind"], apart(row["kind"], value), row["from"], until, line)
    return (await write(connection, row["resident"], [corrected], source=source, now=now))[0]


async def set_zone(
    connection: AsyncConnection, ward: str, level: str, *, from_: datetime, until: datetime | None, now: datetime
) -> None:
    """A decree: the level of a ward, from an hour. Raises BadFact for a level that is none."""
    level = str(parse("home_zone", level))
    await connection.execute(zone.insert().values({"ward": ward, "level": level, "from": from_, "until": until}))
    await connection.execute(change.insert().values(resident=None, at=now))


async def zones(connection: AsyncConnection) -> list[RowMapping]:
    return list((await connection.execute(select(zone).order_by(zone.c.id.desc()).limit(_SHOWN))).mappings())


async def read(
    connection: AsyncConnection, person: bytes
) -> tuple[RowMapping, list[RowMapping], list[RowMapping]] | None:
    """A resident, the tails of the numbers, the history newest first. Whoever calls notes who reads, and why."""
    found = (await connection.execute(select(resident).where(resident.c.id == person))).mappings().first()
    if found is None:
        return None
    numbers = await connection.execute(select(identity.c.kind, identity.c.tail).where(identity.c.resident == person))
    lines = await connection.execute(select(fact).where(fact.c.resident == person).order_by(fact.c.id.desc()))
    return found, list(numbers.mappings()), list(lines.mappings())


async def shown(connection: AsyncConnection, people: Sequence[bytes]) -> dict[bytes, str]:
    """Each as a desk sees them: initials and the last three digits."""
    names = await db.rows_with(connection, select(resident.c.id, resident.c.name), resident.c.id, list(set(people)))
    tails = await db.rows_with(
        connection, select(identity.c.resident, identity.c.tail), identity.c.resident, list(set(people))
    )
    tail_of = {row.resident: row.tail for row in tails}
    return {
        row.id: f"{''.join(f'{word[0]}.' for word in row.name.split())} ···{tail_of.get(row.id, '')}" for row in names
    }


async def candidates(connection: AsyncConnection, name_key: str, birth: str) -> list[RowMapping]:
    """Who may be meant by a name and a birth date or its year: proposals only, never more than a page."""
    query = select(resident).where(resident.c.name_key == name_key)
    query = query.where(resident.c.birth.like(f"{birth[:4]}%") if len(birth) == 4 else resident.c.birth == birth)
    return list((await connection.execute(query.order_by(resident.c.id).limit(_CANDIDATES))).mappings())


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
    decreed = (await connection.execute(_DECREED)).mappings().all()
    return [
        Person(
            keys[row.id],
            row.name_key,
            row.birth,
            _history(
                Resident(id=row.id, name_key=row.name_key, birth=row.birth, ward=row.ward), lines[row.id], decreed, now
            ),
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


async def take_rows(engine: AsyncEngine, keys: Keys, rows: Mapping[int, Row], source: str, now: datetime) -> Merged:
    """Bring rows (line number -> row) in, in one transaction. Doing it again changes nothing."""
    async with db.writing(engine) as connection:
        merge = Merge(connection, source, now)
        await merge.open()
        await merge.put(stage(Namer(*keys.secrets), rows.items()))
        return await merge.merge()
