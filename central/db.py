"""The database: SQLite for one box, PostgreSQL for a city, chosen by URL; the same statements on both."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    LargeBinary,
    MetaData,
    Table,
    any_,
    bindparam,
    event,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeDecorator

_log = logging.getLogger(__name__)
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x6375616F
"""One number for all replicas: whoever holds it migrates, the others wait."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_HANDFUL = 8
_CHUNK = 10_000
"""Values in one query: SQLite takes a statement of a million bytes."""

_AWAY = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes: connection, transaction state, rollback, resources, not ready, intervention, system, internal."""

Insert = postgresql.Insert | sqlite.Insert


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and dialect.name == "sqlite" else value


def insert(connection: AsyncConnection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the connection's own dialect."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


async def insert_new(connection: AsyncConnection, table: Table, key: str, rows: Sequence[dict[str, Any]]) -> set[Any]:
    """Insert the rows whose key is not there yet; the keys that were new. Each key stands once in `rows`.

    On PostgreSQL one statement whatever the number of rows, so that nothing is compiled and one answer comes back.
    """
    if not rows:
        return set()
    if connection.dialect.name == "postgresql":
        names = list(rows[0])
        lists = [
            f"${place}::{table.c[name].type.compile(connection.dialect)}[]" for place, name in enumerate(names, start=1)
        ]
        columns = ", ".join(f'"{name}"' for name in names)
        statement = (
            f"INSERT INTO {table.name} ({columns}) SELECT * FROM unnest({', '.join(lists)}) "  # noqa: S608  (names are our own tables')
            f'ON CONFLICT DO NOTHING RETURNING "{key}"'
        )
        found = await connection.exec_driver_sql(statement, tuple([row[name] for row in rows] for name in names))
        return set(found.scalars())
    # Nobody else writes meanwhile: a writer of SQLite is alone from its BEGIN on.
    known: set[Any] = set()
    for start in range(0, len(rows), _CHUNK):
        among = [row[key] for row in rows[start : start + _CHUNK]]
        known |= set((await connection.execute(select(table.c[key]).where(table.c[key].in_(among)))).scalars())
    new = [row for row in rows if row[key] not in known]
    await write_many(connection, table.insert(), new)
    return {row[key] for row in new}


async def rows_with(connection: AsyncConnection, query: Any, column: Any, values: Sequence[bytes]) -> list[Any]:
    """The query's rows whose column is one of the values, however many; far cheaper than a parameter for each."""
    found: list[Any] = []
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        if connection.dialect.name == "postgresql":
            # one statement for all: it is compiled once
            match: Any = column == any_(bindparam("values", type_=postgresql.ARRAY(LargeBinary)))
            found += (await connection.execute(query.where(match), {"values": chunk})).all()
            continue
        if len(chunk) <= _HANDFUL:
            found += (await connection.execute(query.where(column.in_(chunk)))).all()
            continue
        listed = ",".join([f"x'{value.hex()}'" for value in chunk])
        match = literal_column(f"{column} IN ({listed})")
        # each statement is another: remembered, they would only fill the memory
        found += (await connection.execute(query.where(match), execution_options={"compiled_cache": None})).all()
    return found


async def write_many(connection: AsyncConnection, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    """One prepared INSERT for many rows that all have the same columns; three times as fast as `execute` on SQLite."""
    if not rows:
        return
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    columns = []
    for name in compiled.positiontup:
        cells = [row[name] for row in rows]
        if made := statement.table.c[name].type.dialect_impl(dialect).bind_processor(dialect):
            bound = {cell: made(cell) for cell in set(cells)}  # most are the same moment, thousands of times
            cells = [bound[cell] for cell in cells]
        columns.append(cells)
    values = list(zip(*columns, strict=True))
    await connection.exec_driver_sql(str(compiled), values)


def connect(url: str) -> AsyncEngine:
    """An engine for the URL; no connection is opened yet, only SQLite's folder is made."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True, connect_args={"timeout": 5})
    if parsed.database:
        Path(parsed.database).absolute().parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # SQLAlchemy begins; the driver's own implicit BEGIN would come too late
        cursor = dbapi.cursor()
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-65536",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns into a writer can be refused at once, whatever the busy timeout; a writer says so first.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine


def is_away(error: BaseException) -> bool:
    """Whether the database itself is at fault (away, starting, full, a deadlock) and not what it was given."""
    if isinstance(error, OSError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    cause = getattr(error.orig, "__cause__", None)
    if isinstance(cause, ValueError):  # the driver refuses a value before it is sent
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in _AWAY
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One consistent view."""
    async with engine.connect() as connection:
        yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end, rolled back on an exception."""
    async with engine.connect() as connection:
        await connection.execution_options(writes=True)
        async with connection.begin():
            yield connection


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def upgrade(url: str) -> None:
    """Bring the tables to this release. Replicas that start together do it one after the other."""
    engine = connect(url)
    try:
        async with writing(engine) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            await connection.run_sync(_migrate)
    finally:
        await engine.dispose()


async def wait_for(url: str, *, retry_seconds: float = 2.0) -> None:
    """`upgrade`, again and again while the database cannot be reached; each failure is said in the log."""
    while True:
        try:
            await upgrade(url)
        except (OSError, ConnectionError) as error:
            _log.warning("database away (%s); is it running? trying again in %g s", type(error).__name__, retry_seconds)
            await asyncio.sleep(retry_seconds)
        else:
            return
