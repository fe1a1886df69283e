"""A CSV or XLSX of residents into the registry; rejected rows are kept beside it.

A large file is parsed in a process beside the database's. Rejected rows go to `<file>.rejected.csv`.
"""

import asyncio
import csv
import gc
import io
import multiprocessing
import os
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice
from multiprocessing.queues import Queue
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, Self, cast
from zipfile import BadZipFile, ZipFile

import openpyxl
from sqlalchemy.ext.asyncio import AsyncEngine
from tqdm import tqdm

from central import db
from central.auth.rules import cell as defused
from central.keys import Keys, Namer
from central.registry import bulk, rules
from central.registry.bulk import FirstLoad, Merge, Staged
from central.registry.rules import Row
from models.wire.parcel import BadParcel, Reader, Writer

_BLOCK = 20_000
_MERGE_ROWS = {"postgresql": 1_000_000, "sqlite": 100_000}
"""Rows in one transaction: many are cheaper, few let others in sooner."""
_BESIDE_BYTES = 50_000_000
"""From this size on a process of its own pays."""
_SEEN_BITS = 1 << 30
"""A bit for each number seen: of ten million numbers one in a hundred is looked at twice."""
_ZIP = b"PK\3\4"
_MOST_UNPACKED = 2 << 30
"""Of a sheet; a small file can claim to hold far more."""
_HEAD_BYTES = 64 << 10


class BadFile(ValueError):
    """A file that is no list of residents; the message says what and what to do."""


class Cancelled(Exception):
    """Somebody has stopped the import; what was merged before stays."""


@dataclass
class Report:
    new: int = 0
    known: int = 0
    facts: int = 0
    rejected: int = 0


class Stored(NamedTuple):
    """A file on a disk, and the key of the parcel that it is; without one it lies there as it is."""

    path: Path
    key: bytes | None = None

    def read(self) -> BinaryIO:
        file = self.path.open("rb")
        return file if self.key is None else cast("BinaryIO", io.BufferedReader(Reader(file, self.key), _HEAD_BYTES))

    def write(self) -> BinaryIO:
        """Readable by its owner alone."""
        file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        return file if self.key is None else cast("BinaryIO", io.BufferedWriter(Writer(file, self.key, owns=True)))


@dataclass(frozen=True)
class Source:
    """Where the rows come from, and where those go that are not taken; travels to the process that reads."""

    file: Stored
    rejects: Stored
    name: str
    """As whoever sent it knows it."""
    columns: tuple[str, ...] | None = None
    """What the file's columns are, in their order; an empty one is left out. None: its first line says it."""

    @classmethod
    def beside(cls, path: Path) -> Self:
        """A plain file whose rejected rows lie beside it."""
        return cls(Stored(path), Stored(path.with_name(f"{path.name}.rejected.csv")), str(path))


class Sample(NamedTuple):
    """How a file begins."""

    header: list[str]
    rows: list[tuple[int, list[str]]]


@dataclass
class Progress:
    """Where an import stands, for whoever looks at it; it can be told to stop."""

    total: int = 0
    done: int = 0
    report: Report = field(default_factory=Report)
    stopping: threading.Event = field(default_factory=threading.Event)


class _Block(NamedTuple):
    """Some rows of the file, read."""

    content: Any
    """Staged, or the texts of a first load."""
    rejected: list[tuple[int, str, Sequence[str]]]
    twice: list[int]
    """Lines with a number that may have been seen before: they wait until the indexes can tell."""
    number: int
    position: int


@dataclass(frozen=True)
class _Task:
    """What to read, and as what; travels to the process that reads."""

    origin: Source
    secrets: tuple[bytes, bytes]
    source: str
    now: datetime
    first: bool
    only: frozenset[int] | None = None

    def blocks(self) -> Iterator[_Block]:
        namer, seen = Namer(*self.secrets), _Seen() if self.first and self.only is None else None
        with _Lines(self.origin) as lines:
            reader = rules.Reader(lines.columns)
            rows: list[tuple[int, Row]] = []
            rejected: list[tuple[int, str, Sequence[str]]] = []
            for line, cells in lines:
                if not any(cells) or (self.only is not None and line not in self.only):
                    continue
                try:
                    rows.append((line, reader.read(cells)))
                except rules.BadRow as fault:
                    rejected.append((line, str(fault), cells))
                if len(rows) + len(rejected) >= _BLOCK:
                    yield self._block(namer, rows, rejected, seen, lines.position)
                    rows, rejected = [], []
            yield self._block(namer, rows, rejected, seen, lines.position)

    def _block(
        self,
        namer: Namer,
        rows: list[tuple[int, Row]],
        rejected: list[tuple[int, str, Sequence[str]]],
        seen: "_Seen | None",
        position: int,
    ) -> _Block:
        staged = bulk.stage(namer, rows)
        twice: set[int] = set()
        if seen is not None:
            twice = {line for line, _, key, *_ in staged.keys if seen.add(key)}
            if twice:
                staged = Staged(*([row for row in part if row[0] not in twice] for part in staged))
        content = bulk.first_text(staged, self.source, self.now) if seen is not None else staged
        return _Block(content, rejected, sorted(twice), len(staged.rows), position)


class _Seen:
    """Which keys were there before. It may say yes of a new one, never no of an old one."""

    def __init__(self) -> None:
        self._bits = bytearray(_SEEN_BITS // 8)

    def add(self, key: bytes) -> bool:
        """True when it may have been there."""
        number = int.from_bytes(key[:8], "big") % _SEEN_BITS
        place, bit = number >> 3, 1 << (number & 7)
        before = self._bits[place] & bit
        self._bits[place] |= bit
        return bool(before)


class _Lines:
    """The lines of a CSV, or of an XLSX's first sheet: number and cells. Raises BadFile."""

    def __init__(self, source: Source, *, any_header: bool = False) -> None:
        self._name = source.name
        try:
            self._raw = source.file.read()
            is_sheet = self._raw.read(len(_ZIP)) == _ZIP
        except (OSError, BadParcel) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise BadFile(f"{self._name}: cannot be read: {why}; give a CSV or XLSX file") from error
        self._raw.seek(0)
        self._rows = self._sheet() if is_sheet else self._csv()
        try:
            _, header = next(self._rows, (1, [""]))
            self.header = [cell.strip() for cell in header]
            self.columns = list(source.columns) if source.columns else [cell.casefold() for cell in self.header]
            if not any_header:
                self._check()
        except BadFile:
            self._raw.close()
            raise

    def _check(self) -> None:
        fault = rules.columns_fault(self.columns)
        if len(self.columns) != len(self.header):
            fault = f"{len(self.header)} columns, {len(self.columns)} are named"
        if fault:
            raise BadFile(f"{self._name}:1: {fault}")

    def _csv(self) -> Iterator[tuple[int, list[str]]]:
        first = self._raw.read(_HEAD_BYTES).partition(b"\n")[0]
        self._raw.seek(0)
        # a spreadsheet that writes numbers with a comma parts its cells with something else
        delimiter = max((",", ";", "\t"), key=lambda mark: first.count(mark.encode()))
        self._text = io.TextIOWrapper(self._raw, encoding="utf-8-sig", newline="")
        reader = csv.reader(self._text, delimiter=delimiter)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except (csv.Error, UnicodeDecodeError, BadParcel) as error:
            where = f"{self._name}:{reader.line_num + 1}"
            raise BadFile(f"{where}: {error}; save it as a CSV in UTF-8 and import again") from error

    def _sheet(self) -> Iterator[tuple[int, list[str]]]:
        try:
            with ZipFile(self._raw) as packed:
                if sum(part.file_size for part in packed.infolist()) > _MOST_UNPACKED:
                    raise BadFile(f"{self._name}: too large when it is unpacked; save it as a CSV in UTF-8")
            book = openpyxl.load_workbook(self._raw, read_only=True, data_only=True)
            for line, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
                yield line, [_sheet_text(cell) for cell in cells]
        except (KeyError, OSError, IndexError, BadZipFile, ValueError, SyntaxError) as error:
            if isinstance(error, BadFile):
                raise
            raise BadFile(
                f"{self._name}: not a readable XLSX ({error}); save it again, or as a CSV in UTF-8"
            ) from error

    @property
    def position(self) -> int:
        return self._raw.tell()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        return self._rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()  # type: ignore[attr-defined]  # a generator
        self._raw.close()


def _sheet_text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


class _Rejects:
    """Rows that were not taken: line, reason, cells; opened with the first one, numbers masked, formulas defused."""

    def __init__(self, stored: Stored, columns: Sequence[str]) -> None:
        self._stored = stored
        self._columns = columns
        self._file: IO[str] | None = None
        self._writer: Any = None
        stored.path.unlink(missing_ok=True)

    def keep(self, line: int, reason: str, cells: Sequence[str]) -> None:
        if self._file is None:
            self._file = io.TextIOWrapper(self._stored.write(), encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(["line", "reason", *self._columns])
        self._writer.writerow([line, defused(reason), *map(defused, rules.shown(self._columns, cells))])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def is_sheet(source: Source) -> bool:
    with source.file.read() as file:
        return file.read(len(_ZIP)) == _ZIP


def sample(source: Source, most: int) -> Sample:
    """The first lines, whatever its columns are called. Raises BadFile."""
    with _Lines(source, any_header=True) as lines:
        return Sample(lines.header, [(line, cells) for line, cells in islice(lines, most) if any(cells)])


async def load(
    engine: AsyncEngine,
    keys: Keys,
    source: Source | Path,
    now: datetime,
    *,
    quiet: bool = False,
    progress: Progress | None = None,
    beside_bytes: int = _BESIDE_BYTES,
) -> Report:
    """Bring the file in. Raises BadFile or Cancelled; what was merged before stays."""
    source = Source.beside(source) if isinstance(source, Path) else source
    import_ = _Import(engine, keys, source, now, progress=progress or Progress(), beside_bytes=beside_bytes)
    with tqdm(total=import_.progress.total, unit="B", unit_scale=True, desc="residents", disable=quiet) as bar:
        await import_.run(lambda done: bar.update(done - bar.n))
    return import_.progress.report


class _Import:
    def __init__(
        self, engine: AsyncEngine, keys: Keys, origin: Source, now: datetime, *, progress: Progress, beside_bytes: int
    ) -> None:
        self._engine = engine
        self._secrets = keys.secrets
        self._origin = origin
        self._now = now
        self._source = f"import:{Path(origin.name).name}"
        with _Lines(origin) as lines:
            columns = lines.columns
        self.progress = progress
        self.progress.total = origin.file.path.stat().st_size
        self._is_large = self.progress.total >= beside_bytes
        self._rejects = _Rejects(origin.rejects, columns)

    async def run(self, tell: Callable[[int], object]) -> None:
        self._tell = tell
        # Millions of objects and no cycle: searching them for garbage would take a third of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            only: frozenset[int] | None = None
            if await self._is_first():
                only = await self._first()
            if only is None or only:
                await self._merge(only)
        finally:
            if collecting:
                gc.enable()
            self._rejects.close()

    async def _is_first(self) -> bool:
        if self._engine.dialect.name != "postgresql" or not self._is_large:
            return False
        async with db.reading(self._engine) as connection:
            return await bulk.is_empty(connection)

    async def _first(self) -> frozenset[int] | None:
        """The lines that are left to be merged; None: all, because the registry is empty no more."""
        twice: set[int] = set()
        count = facts = 0
        async with FirstLoad(self._engine, self._source, self._now) as loading:
            async for block in self._blocks(first=True, only=None):
                await loading.put(block.content)
                twice.update(block.twice)
                count += block.number
                facts += block.content[2].count(b"\n")
                self._advance(block)
            if not await loading.finish():
                return None
        self.progress.report.new += count
        self.progress.report.facts += facts
        return frozenset(twice)

    async def _merge(self, only: frozenset[int] | None) -> None:
        most = _MERGE_ROWS[self._engine.dialect.name]
        refused: dict[int, str] = {}
        async with self._engine.connect() as connection:
            await connection.execution_options(writes=True)
            merge = Merge(connection, self._source, self._now, after_first=only is not None)
            async with connection.begin():
                await merge.open()
            blocks = aiter(self._blocks(first=False, only=only))
            block = await anext(blocks, None)
            while block is not None:
                async with connection.begin():
                    waiting = 0
                    while block is not None and waiting < most:
                        await merge.put(block.content)
                        waiting += block.number
                        self._advance(block)
                        block = await anext(blocks, None)
                    merged = await merge.merge()
                report = self.progress.report
                report.new += merged.new
                report.known += merged.known
                report.facts += merged.facts
                report.rejected += len(merged.rejected)
                refused.update(merged.rejected)
        if refused:
            with _Lines(self._origin) as lines:
                for line, cells in lines:
                    if line in refused:
                        self._rejects.keep(line, refused[line], cells)

    def _advance(self, block: _Block) -> None:
        for fault in block.rejected:
            self._rejects.keep(*fault)
        self.progress.report.rejected += len(block.rejected)
        self.progress.done = block.position
        self._tell(block.position)
        if self.progress.stopping.is_set():
            raise Cancelled

    async def _blocks(self, *, first: bool, only: Collection[int] | None) -> AsyncIterator[_Block]:
        chosen = None if only is None else frozenset(only)
        task = _Task(self._origin, self._secrets, self._source, self._now, first, chosen)
        if not self._is_large:
            for block in task.blocks():
                yield block
            return
        async with _beside(task) as blocks:
            async for block in blocks:
                yield block


@asynccontextmanager
async def _beside(task: _Task) -> AsyncIterator[AsyncIterator[_Block]]:
    """The task's blocks, read in a process of their own."""
    spawn = multiprocessing.get_context("spawn")
    queue: Queue[_Block | BadFile | None] = spawn.Queue(4)
    process = spawn.Process(target=_read, args=(task, queue), daemon=True, name="read")
    process.start()

    async def blocks() -> AsyncIterator[_Block]:
        while (block := await asyncio.to_thread(queue.get)) is not None:
            if isinstance(block, BadFile):
                raise block
            yield block

    try:
        yield blocks()
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        queue.close()


def end_with_parent() -> None:
    """In a process: whoever waits for what it makes may be killed, and then it has no end of its own."""

    def wait() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True, name="parent").start()


def _read(task: _Task, queue: "Queue[_Block | BadFile | None]") -> None:
    end_with_parent()
    gc.disable()
    try:
        for block in task.blocks():
            queue.put(block)
    except BadFile as error:
        queue.put(error)
    queue.put(None)
