"""The only door to uploads: a file comes in encrypted, a process of its own imports it, and only counts stay.

One is imported at a time, by whoever holds the folder's lock. A process that ends in the middle lets go of it; the next
one begins with that file again, which changes nothing of what was merged.
"""

import asyncio
import fcntl
import multiprocessing
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db, keys
from central.auth import service as auth
from central.imports import rules
from central.imports.rules import DUE, OPEN, State
from central.imports.tables import upload
from central.keys import Keys
from central.registry.load import (
    BadFile,
    Cancelled,
    Progress,
    Report,
    Sample,
    Source,
    Stored,
    end_with_parent,
    is_sheet,
    load,
    sample,
)

_SAMPLED = 1_000
_MOST_OPEN = 8
_MOST_TRIES = 3
_SHOWN = 50
_KEPT = timedelta(days=7)
"""Rejected rows, and files that nobody has started."""
_TICK_S = 0.3
_NICE = 10


class TooMany(ValueError):
    """More files than may wait; the message says what to do."""


class TooLarge(ValueError):
    """A file beyond the setting; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What whoever imports has to know; travels to the process that does it."""

    database: str
    data: str

    @property
    def folder(self) -> Path:
        return Path(self.data) / "imports"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the files lie, each closed with a key of its own."""

    folder: Path
    keys: Keys

    def _stored(self, name: str) -> Stored:
        return Stored(self.folder / name, self.keys.parcel(f"upload|{name}"))

    def file(self, id_: str) -> Stored:
        return self._stored(f"{id_}.file")

    def sample(self, id_: str) -> Stored:
        return self._stored(f"{id_}.sample")

    def rejects(self, row: RowMapping) -> Stored:
        return self._stored(f"{row['id']}.{row['tries']}.rejects")

    def progress(self, id_: str) -> Path:
        return self.folder / f"{id_}.progress"

    def source(self, row: RowMapping) -> Source:
        columns = tuple(msgspec.json.decode(row["columns"]))
        return Source(self.file(row["id"]), self.rejects(row), row["name"], columns)

    def clear(self, id_: str, *kinds: str) -> None:
        """Throw its files away; without kinds, all of them."""
        for path in self.folder.glob(f"{id_}.*"):
            if not kinds or path.suffix[1:] in kinds:
                path.unlink(missing_ok=True)


async def receive(
    engine: AsyncEngine, shelf: Shelf, content: AsyncIterator[bytes], *, name: str, by: str, most_bytes: int
) -> str:
    """Take a file in and look at how it begins; its id. Raises TooMany, TooLarge or BadFile, and keeps nothing then."""
    async with db.reading(engine) as connection:
        waiting = (await connection.execute(select(upload.c.id).where(upload.c.state.in_(OPEN)))).all()
    if len(waiting) >= _MOST_OPEN:
        raise TooMany(f"{len(waiting)} files wait already; import or throw away one of them first")
    id_, size = secrets.token_hex(8), 0
    shelf.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with shelf.file(id_).write() as file:
            async for piece in _bounded(content, most_bytes):
                size += file.write(piece)
        source = Source(shelf.file(id_), shelf.file(id_), name)
        begun = await (_in_a_process(source) if is_sheet(source) else asyncio.to_thread(sample, source, _SAMPLED))
        with shelf.sample(id_).write() as file:
            file.write(msgspec.json.encode(begun))
        row = {
            "id": id_, "name": name, "by": by, "at": datetime.now(UTC), "size": size, "state": State.READY,
            "columns": msgspec.json.encode(rules.guess(begun.header)).decode(), "stopping": False, "tries": 0,
            "fault": "", "new": 0, "known": 0, "facts": 0, "rejected": 0,
        }  # fmt: skip
        async with db.writing(engine) as connection:
            await connection.execute(upload.insert().values(row))
    except BaseException:
        shelf.clear(id_)
        raise
    return id_


async def _bounded(content: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in content:
        size += len(piece)
        if size > most_bytes:
            raise TooLarge(f"larger than {most_bytes // 10**6} MB (`import_mb`); part it in two")
        yield piece


async def _in_a_process(source: Source) -> Sample:
    """A sheet has to be unpacked: nobody's answer waits for that."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, sample, source, _SAMPLED)
    finally:
        pool.shutdown(wait=False)


def begun(shelf: Shelf, id_: str) -> Sample:
    with shelf.sample(id_).read() as file:
        return msgspec.json.decode(file.read(), type=Sample)


async def listed(connection: AsyncConnection) -> list[RowMapping]:
    return list((await connection.execute(select(upload).order_by(upload.c.at.desc()).limit(_SHOWN))).mappings())


async def read(connection: AsyncConnection, id_: str) -> RowMapping | None:
    return (await connection.execute(select(upload).where(upload.c.id == id_))).mappings().first()


def progress(shelf: Shelf, row: RowMapping) -> dict[str, Any]:
    """How far a file has come; of one that runs, as its process last said."""
    told = {name: row[name] for name in ("new", "known", "facts", "rejected")} | {"done": 0, "total": row["size"]}
    if row["state"] == State.RUNNING:
        try:
            told |= msgspec.json.decode(shelf.progress(row["id"]).read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):  # it is only about to begin
            return told
    return told


async def _move(connection: AsyncConnection, id_: str, was: Sequence[State], **values: Any) -> bool:
    """Compare and set: False when it is in no such state."""
    statement = update(upload).where(upload.c.id == id_, upload.c.state.in_(was)).values(**values)
    return (await connection.execute(statement.returning(upload.c.id))).scalar_one_or_none() is not None


async def name_columns(connection: AsyncConnection, id_: str, columns: Sequence[str]) -> bool:
    return await _move(connection, id_, [State.READY], columns=msgspec.json.encode(list(columns)).decode())


async def start(connection: AsyncConnection, id_: str) -> bool:
    return await _move(connection, id_, [State.READY], state=State.WAITING)


async def stop(connection: AsyncConnection, shelf: Shelf, id_: str) -> bool:
    """What has not begun is thrown away; what runs ends after its present rows, and these stay."""
    if await _move(connection, id_, [State.READY, State.WAITING], state=State.STOPPED, ended_at=datetime.now(UTC)):
        shelf.clear(id_)
        return True
    return await _move(connection, id_, [State.RUNNING], stopping=True)


async def forget(engine: AsyncEngine, shelf: Shelf, now: datetime) -> None:
    """Whatever lies there too long."""
    before = now - _KEPT
    async with db.writing(engine) as connection:
        await connection.execute(delete(upload).where(upload.c.at < before, upload.c.state == State.READY))
        due = set((await connection.execute(select(upload.c.id).where(upload.c.state.in_(DUE)))).scalars())
    for path in shelf.folder.glob("*.*"):
        if path.name.partition(".")[0] not in due and path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)


async def is_due(engine: AsyncEngine) -> bool:
    async with db.reading(engine) as connection:
        return (
            await connection.execute(select(upload.c.id).where(upload.c.state.in_(DUE)).limit(1))
        ).first() is not None


@contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """True when it is ours; it ends with the process that holds it, however that ends."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def is_free(folder: Path) -> bool:
    with lock(folder) as ours:
        return ours


def work(order: Order) -> None:
    """Import what waits, one after the other; runs in a process of its own, behind everybody who wants an answer."""
    end_with_parent()
    os.nice(_NICE)
    with lock(order.folder) as ours:
        if ours:
            asyncio.run(_work(order))


async def _work(order: Order) -> None:
    shelf = Shelf(order.folder, keys.load(Path(order.data)))
    engine = db.connect(order.database)
    try:
        while (row := await _next(engine)) is not None:
            await _import(engine, shelf, row)
    finally:
        await engine.dispose()


async def _next(engine: AsyncEngine) -> RowMapping | None:
    async with db.writing(engine) as connection:
        oldest = select(upload).where(upload.c.state.in_(DUE)).order_by(upload.c.at).limit(1)
        row = (await connection.execute(oldest)).mappings().first()
        if row is None:
            return None
        begun = {"state": State.RUNNING, "tries": row["tries"] + 1, "started_at": datetime.now(UTC)}
        statement = update(upload).where(upload.c.id == row["id"]).values(begun).returning(upload)
        claimed: RowMapping = (await connection.execute(statement)).mappings().one()
    return claimed


async def _import(engine: AsyncEngine, shelf: Shelf, row: RowMapping) -> None:
    progress, state, fault = Progress(), State.DONE, ""
    if row["stopping"]:
        progress.stopping.set()
    watching = asyncio.create_task(_watch(engine, shelf, row["id"], progress))
    try:
        if row["tries"] <= _MOST_TRIES:
            await load(engine, shelf.keys, shelf.source(row), datetime.now(UTC), quiet=True, progress=progress)
        else:
            state, fault = State.FAILED, f"its process ended {_MOST_TRIES} times in the middle; see central's log"
    except Cancelled:
        state = State.STOPPED
    except BadFile as error:
        state, fault = State.FAILED, str(error)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    counts = _counts(progress.report)
    ended = {"state": state, "fault": fault, "ended_at": datetime.now(UTC)}
    async with db.writing(engine) as connection:
        await connection.execute(update(upload).where(upload.c.id == row["id"]).values(**ended, **counts))
        told = " ".join(f"{name} {number}" for name, number in counts.items())
        await auth.note(
            connection, who=row["by"], what="imported", whom=row["id"], why=row["name"], outcome=f"{state}: {told}"
        )
    shelf.clear(row["id"], "file", "sample", "progress")


async def _watch(engine: AsyncEngine, shelf: Shelf, id_: str, progress: Progress) -> None:
    """Say how far it has come, in a file: on SQLite the table is closed while rows are merged. And hear of a stop."""
    while True:
        told = {"done": progress.done, "total": progress.total} | _counts(progress.report)
        partial = shelf.folder / f"{id_}.part"
        partial.write_bytes(msgspec.json.encode(told))
        partial.replace(shelf.progress(id_))
        async with db.reading(engine) as connection:
            if (row := await read(connection, id_)) is not None and row["stopping"]:
                progress.stopping.set()
        await asyncio.sleep(_TICK_S)


def _counts(report: Report) -> dict[str, int]:
    return {"new": report.new, "known": report.known, "facts": report.facts, "rejected": report.rejected}
