"""Many residents at once: rows are staged beside the tables, then merged by a few statements, alike on both databases.

The first load of an empty registry on PostgreSQL skips the merge: it fills tables of its own without indexes, builds
those at the end and takes the place of the empty ones, so that nobody waits meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central.keys import Namer
from central.registry.rules import Row
from models.passes.facts import Value, to_json

_FEW = 10_000
"""So many changes are named one by one for the next snapshot; of more it reads all residents again."""
_TABLES = ("resident", "identity", "fact")
_COLUMNS = {
    "staged_row": ("line", "id", "name", "name_key", "birth", "sex", "ward"),
    "staged_key": ("line", "place", "key", "kind", "tail", "outside"),
    "staged_fact": ("line", "kind", "value", "since"),
    "resident": ("id", "name", "name_key", "birth", "sex", "ward", "imported_at"),
    "identity": ("key", "resident", "kind", "tail", "outside"),
    "fact": ("resident", "kind", "value", "from", "source", "recorded_at"),
}
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"})
_REASONS = {
    "twice": "number: stands in this file more than once; the first row counts",
    "torn": "number: the numbers of this row belong to different residents",
    "shared": "number: another row of this file has one of these numbers",
}


class Merged(NamedTuple):
    new: int
    known: int
    facts: int
    rejected: list[tuple[int, str]]


class Staged(NamedTuple):
    """Rows, ready for the database."""

    rows: list[tuple[Any, ...]]
    keys: list[tuple[Any, ...]]
    facts: list[tuple[Any, ...]]


def stage(namer: Namer, rows: Iterable[tuple[int, Row]]) -> Staged:
    staged = Staged([], [], [])
    for line, row in rows:
        names = [namer.key(kind, value) for kind, value in row.ids]
        staged.rows.append((line, names[0], row.name, row.name_key, row.birth, row.sex, row.ward))
        for place, ((kind, value), name) in enumerate(zip(row.ids, names, strict=True)):
            staged.keys.append((line, place, name, kind, value[-3:], namer.outside(kind, value)))
        staged.facts.extend([(line, told.kind, spelt(told.value), told.since) for told in row.facts])
    return staged


def spelt(value: Value | None) -> str:
    """As the table keeps it. Whole seconds: a gate keeps no smaller ones, and both have to answer alike."""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f'"{value.astimezone(UTC).isoformat()[:19]}.000Z"'
    return msgspec.json.encode(value if value is None else to_json(value)).decode()


def copy_text(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as PostgreSQL's COPY reads them."""
    return "".join(["\t".join([_cell(value) for value in row]) + "\n" for row in rows]).encode()


def _text(value: str) -> str:
    return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    if value is None:
        return "\\N"
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _copy(connection: AsyncConnection, table: str, content: bytes, schema: str | None = None) -> None:
    async def source() -> Any:
        yield content

    raw = (await connection.get_raw_connection()).driver_connection
    await raw.copy_to_table(  # type: ignore[union-attr]  # asyncpg's own connection
        table, source=source(), columns=_COLUMNS[table], schema_name=schema, format="text"
    )


class Merge:
    """Stages and merges on one connection, whose temporary tables remember what this import has touched."""

    def __init__(self, connection: AsyncConnection, source: str, now: datetime, *, after_first: bool = False) -> None:
        """`after_first`: whoever is known was in the same file."""
        self._connection = connection
        self._is_postgres = connection.dialect.name == "postgresql"
        self._values: Mapping[str, Any] = {
            "source": source,
            "now": self._moment(now),
            "after_first": after_first,
        } | _REASONS

    def _moment(self, value: datetime | None) -> Any:
        if self._is_postgres or value is None:
            return value
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

    async def _run(self, statement: str) -> int:
        known = {name: value for name, value in self._values.items() if f":{name}" in statement}
        return (await self._connection.execute(text(statement), known)).rowcount

    async def open(self) -> None:
        """Make the temporary tables."""
        octets, moment = ("bytea", "timestamptz") if self._is_postgres else ("blob", "text")
        for table in (
            f"staged_row (line integer, id {octets}, name text, name_key text, birth text, sex text, ward text)",
            f"staged_key (line integer, place integer, key {octets}, kind text, tail text, outside {octets})",
            f"staged_fact (line integer, kind text, value text, since {moment})",
            f"staged_owner (line integer PRIMARY KEY, owner {octets}, is_known boolean)",
            "staged_reject (line integer PRIMARY KEY, reason text)",
            f"staged_seen (owner {octets} PRIMARY KEY)",
        ):
            await self._run(f"DROP TABLE IF EXISTS {table.partition(' ')[0]}")
            await self._run(f"CREATE TEMPORARY TABLE {table}")

    async def put(self, staged: Staged) -> None:
        if self._is_postgres:
            for table, rows in zip(("staged_row", "staged_key", "staged_fact"), staged, strict=True):
                await _copy(self._connection, table, copy_text(rows))
            return
        facts = [(*fact[:3], self._moment(fact[3])) for fact in staged.facts]
        for table, rows in (("staged_row", staged.rows), ("staged_key", staged.keys), ("staged_fact", facts)):
            if rows:
                marks = ",".join("?" * len(rows[0]))
                await self._connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  (names of ours)

    async def merge(self) -> Merged:
        """Everything that is staged, into the tables. What contradicts the registry or itself is left out and named."""
        if self._is_postgres:
            for table in ("staged_row", "staged_key", "staged_fact"):
                await self._run(f"ANALYZE {table}")
        for statement in _OWNERS:
            await self._run(statement)
        rejected = await self._connection.execute(text("SELECT line, reason FROM staged_reject ORDER BY line"))
        refused = [(row.line, row.reason) for row in rejected]
        if refused:
            for table in ("staged_row", "staged_key", "staged_fact", "staged_owner"):
                await self._run(f"DELETE FROM {table} WHERE line IN (SELECT line FROM staged_reject)")  # noqa: S608  (ours)
        if self._is_postgres:
            await self._run("ANALYZE staged_owner")
        new = await self._count("SELECT count(*) FROM staged_owner WHERE NOT is_known")
        known = await self._count("SELECT count(*) FROM staged_owner WHERE is_known")
        await self._run(_RESIDENTS)
        await self._run(_IDENTITIES)
        facts = await self._run(_FACTS)
        if new + known > _FEW:
            await self._run("INSERT INTO change (at) VALUES (:now)")
        else:
            await self._run("INSERT INTO change (resident, at) SELECT owner, :now FROM staged_owner")
        await self._run("INSERT INTO staged_seen SELECT owner FROM staged_owner")
        for table in ("staged_row", "staged_key", "staged_fact", "staged_owner", "staged_reject"):
            await self._run(f"DELETE FROM {table}" if not self._is_postgres else f"TRUNCATE {table}")  # noqa: S608  (ours)
        return Merged(new, known, facts, refused)

    async def _count(self, query: str) -> int:
        number: int = (await self._connection.execute(text(query))).scalar_one()
        return number


# Whom a row belongs to: the first of its numbers that is known decides; old and new numbers are one person.
_OWNERS = (
    """
    INSERT INTO staged_owner
    SELECT r.line, coalesce(f.resident, r.id), f.resident IS NOT NULL
    FROM staged_row r
    LEFT JOIN (
        SELECT line, resident FROM (
            SELECT s.line, i.resident, row_number() OVER (PARTITION BY s.line ORDER BY s.place) AS place
            FROM staged_key s JOIN identity i ON i.key = s.key
        ) found WHERE place = 1
    ) f ON f.line = r.line
    """,
    """
    INSERT INTO staged_reject
    SELECT line, CAST(:twice AS text) FROM (
        SELECT line, owner, is_known, row_number() OVER (PARTITION BY owner ORDER BY line) AS place FROM staged_owner
    ) ordered
    WHERE place > 1 OR (is_known AND CAST(:after_first AS boolean)) OR owner IN (SELECT owner FROM staged_seen)
    """,
    """
    INSERT INTO staged_reject
    SELECT s.line, CAST(:torn AS text) FROM staged_key s JOIN identity i ON i.key = s.key
    WHERE s.line NOT IN (SELECT line FROM staged_reject)
    GROUP BY s.line HAVING count(DISTINCT i.resident) > 1
    """,
    """
    INSERT INTO staged_reject
    SELECT DISTINCT line, CAST(:shared AS text) FROM (
        SELECT s.line, o.owner, first_value(o.owner) OVER (PARTITION BY s.key ORDER BY s.line) AS first
        FROM staged_key s JOIN staged_owner o ON o.line = s.line
        WHERE s.line NOT IN (SELECT line FROM staged_reject)
    ) shared WHERE owner <> first
    """,
)
_RESIDENTS = """
    INSERT INTO resident (id, name, name_key, birth, sex, ward, imported_at)
    SELECT o.owner, r.name, r.name_key, r.birth, r.sex, r.ward, :now
    FROM staged_row r JOIN staged_owner o ON o.line = r.line
    WHERE true ORDER BY o.owner
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, name_key = excluded.name_key, birth = excluded.birth, sex = excluded.sex,
        ward = excluded.ward, imported_at = excluded.imported_at
    WHERE resident.name <> excluded.name OR resident.birth <> excluded.birth OR resident.sex <> excluded.sex
        OR resident.ward <> excluded.ward
"""
_IDENTITIES = """
    INSERT INTO identity (key, resident, kind, tail, outside)
    SELECT s.key, o.owner, s.kind, s.tail, s.outside
    FROM staged_key s JOIN staged_owner o ON o.line = s.line
    WHERE true ORDER BY s.key
    ON CONFLICT (key) DO UPDATE SET outside = excluded.outside
    WHERE identity.outside IS NULL OR identity.outside <> excluded.outside
"""
# Only what says something new: the same file again changes nothing.
_FACTS = """
    INSERT INTO fact (resident, kind, value, "from", source, recorded_at, supersedes)
    SELECT o.owner, f.kind, f.value, coalesce(f.since, :now), :source, :now, c.id
    FROM staged_fact f JOIN staged_owner o ON o.line = f.line
    LEFT JOIN fact c ON o.is_known
        AND c.id = (SELECT max(x.id) FROM fact x WHERE x.resident = o.owner AND x.kind = f.kind)
    WHERE c.id IS NULL OR c.value <> f.value OR (f.since IS NOT NULL AND f.since <> c."from")
    ORDER BY o.owner
"""


class FirstLoad:
    """Fills an empty registry on PostgreSQL. `put` only rows none of whose numbers has been put before."""

    SCHEMA = "loading"

    def __init__(self, engine: AsyncEngine, source: str, now: datetime) -> None:
        self._engine = engine
        self._source = source
        self._now = now

    async def __aenter__(self) -> Self:
        self._connection = await self._engine.connect()
        await self._run(f"DROP SCHEMA IF EXISTS {self.SCHEMA} CASCADE", f"CREATE SCHEMA {self.SCHEMA}")
        for table in _TABLES:
            await self._run(f"CREATE TABLE {self.SCHEMA}.{table} (LIKE public.{table} INCLUDING DEFAULTS)")
        await self._connection.commit()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.rollback()
        await self._run(f"DROP SCHEMA IF EXISTS {self.SCHEMA} CASCADE")
        await self._connection.commit()
        await self._connection.close()

    async def _run(self, *statements: str) -> None:
        for statement in statements:
            await self._connection.exec_driver_sql(statement)

    async def put(self, texts: Sequence[bytes]) -> None:
        """Lines of `first_text`."""
        for table, content in zip(_TABLES, texts, strict=True):
            await _copy(self._connection, table, content, self.SCHEMA)

    async def finish(self) -> bool:
        """Build the indexes and take the empty tables' place; False when they are no longer empty."""
        indexes: list[str] = []
        keys: list[str] = []
        references: list[str] = []
        for table in _TABLES:
            found = await self._connection.exec_driver_sql(
                "SELECT conname, contype::text, pg_get_constraintdef(oid) AS told FROM pg_constraint "  # noqa: S608  (ours)
                f"WHERE conrelid = 'public.{table}'::regclass"
            )
            for row in found:
                statement = f"ALTER TABLE {self.SCHEMA}.{table} ADD CONSTRAINT {row.conname} {row.told}"
                (keys if row.contype in "pu" else references).append(statement)
            found = await self._connection.exec_driver_sql(
                "SELECT pg_get_indexdef(indexrelid) AS told FROM pg_index "  # noqa: S608  (ours)
                f"WHERE indrelid = 'public.{table}'::regclass AND NOT indisprimary AND NOT indisunique"
            )
            indexes += [row.told.replace(f" ON public.{table} ", f" ON {self.SCHEMA}.{table} ") for row in found]
        await self._run("SET LOCAL maintenance_work_mem = '512MB'", f"SET LOCAL search_path = {self.SCHEMA}")
        await self._run(*keys, *indexes, *references)
        await self._run(*(f"ANALYZE {self.SCHEMA}.{table}" for table in _TABLES))
        await self._run("LOCK TABLE public.resident, public.identity, public.fact IN ACCESS EXCLUSIVE MODE")
        filled = await self._connection.exec_driver_sql("SELECT EXISTS (SELECT FROM public.resident)")
        if filled.scalar_one():
            return False
        sequence = (
            await self._connection.exec_driver_sql("SELECT pg_get_serial_sequence('public.fact', 'id')")
        ).scalar_one()
        await self._run(f"ALTER SEQUENCE {sequence} OWNED BY NONE")
        await self._run("DROP TABLE public.fact, public.identity, public.resident")
        await self._run(*(f"ALTER TABLE {self.SCHEMA}.{table} SET SCHEMA public" for table in _TABLES))
        await self._run(
            f"ALTER SEQUENCE {sequence} OWNED BY public.fact.id", "INSERT INTO public.change (at) VALUES (now())"
        )
        await self._connection.commit()
        return True


def first_text(staged: Staged, source: str, now: datetime) -> tuple[bytes, bytes, bytes]:
    """The three tables' lines for a registry in which nobody stands yet."""
    owner = {row[0]: row[1].hex() for row in staged.rows}
    at, by = now.isoformat(), _text(source)
    residents = [
        f"\\\\x{name.hex()}\t{_text(full)}\t{_text(key)}\t{birth}\t{sex}\t{_text(ward)}\t{at}\n"
        for _, name, full, key, birth, sex, ward in staged.rows
    ]
    identities = [
        f"\\\\x{key.hex()}\t\\\\x{owner[line]}\t{kind}\t{_text(tail)}\t\\\\x{outside.hex()}\n"
        for line, _, key, kind, tail, outside in staged.keys
    ]
    facts = [
        f"\\\\x{owner[line]}\t{kind}\t{_text(value)}\t{since.isoformat() if since else at}\t{by}\t{at}\n"
        for line, kind, value, since in staged.facts
    ]
    return "".join(residents).encode(), "".join(identities).encode(), "".join(facts).encode()


async def is_empty(connection: AsyncConnection) -> bool:
    return (await connection.execute(text("SELECT 1 FROM resident LIMIT 1"))).first() is None
