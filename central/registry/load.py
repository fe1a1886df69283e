"""`import-residents FILE`: a CSV into the registry, in batches, with a bar; rejected rows are kept beside it."""

import csv
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy.ext.asyncio import AsyncEngine
from tqdm import tqdm

from central.keys import Keys
from central.registry import rules, service

_BATCH = 20_000


class BadFile(ValueError):
    """A file that is no list of residents; the message says what and what to do."""


@dataclass
class Report:
    new: int = 0
    known: int = 0
    facts: int = 0
    rejected: int = 0


def _lines(file: IO[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadFile(f"{path}:{reader.line_num + 1}: {error}; save it as a CSV in UTF-8 and import again") from error


def _columns(header: list[str], path: Path) -> list[str]:
    columns = [cell.strip().casefold() for cell in header]
    if missing := [name for name in rules.REQUIRED if name not in columns]:
        raise BadFile(f"{path}:1: no column {', '.join(missing)}; the header is {','.join(rules.HEADER)}")
    if strange := [name for name in columns if name not in rules.HEADER]:
        raise BadFile(f"{path}:1: unknown column {strange[0]!r}; the header is {','.join(rules.HEADER)}")
    return columns


class _Rejects:
    """Rows that were not taken: line, reason, cells; opened with the first one, numbers masked, formulas defused."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path = path
        self._columns = columns
        self._file: IO[str] | None = None
        self._writer: Any = None
        path.unlink(missing_ok=True)

    def keep(self, line: int, reason: str, cells: list[str]) -> None:
        if self._file is None:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(["line", "reason", *self._columns])
        secret = {index for index, name in enumerate(self._columns) if name in {"number", "qid"}}
        # Cells beyond the header may hold anything, a number too.
        kept = [
            rules.masked(cell) if index in secret or index >= len(self._columns) else cell
            for index, cell in enumerate(cells)
        ]
        self._writer.writerow([line, rules.defused(reason), *map(rules.defused, kept)])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


async def load(engine: AsyncEngine, keys: Keys, path: Path, now: datetime, *, quiet: bool = False) -> Report:
    """Bring the file in. Raises BadFile; at a line that is no CSV, the batches before it stay.

    Rejected rows go to `<file>.rejected.csv`.
    """
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror}; give the path of a CSV file") from error
    report = Report()
    with (
        file,
        tqdm(total=os.fstat(file.fileno()).st_size, unit="B", unit_scale=True, desc="residents", disable=quiet) as bar,
    ):
        lines = _lines(file, path)
        columns = _columns(next(lines, (1, [""]))[1], path)
        rejects = _Rejects(path.with_name(f"{path.name}.rejected.csv"), columns)
        # A batch is a million objects and no cycle: searching them for garbage would take a third of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            rows: dict[int, rules.Row] = {}
            raw: dict[int, list[str]] = {}

            async def flush() -> None:
                taken = await service.take_rows(engine, keys, rows, f"import:{path.name}", now)
                report.new += taken.new
                report.known += taken.known
                report.facts += taken.facts
                report.rejected += len(taken.rejected)
                for fault in taken.rejected:
                    rejects.keep(fault.line, fault.reason, raw[fault.line])
                rows.clear()
                raw.clear()
                bar.update(min(file.buffer.tell(), bar.total) - bar.n)  # type: ignore[attr-defined]  # TextIOWrapper's

            for line, cells in lines:
                if not any(cells):
                    continue
                try:
                    if len(cells) != len(columns):
                        raise rules.BadRow(f"{len(cells)} cells instead of {len(columns)}")  # noqa: TRY301  (one way out)
                    rows[line] = rules.read_row({name: cell.strip() for name, cell in zip(columns, cells, strict=True)})
                except rules.BadRow as fault:
                    report.rejected += 1
                    rejects.keep(line, str(fault), cells)
                    continue
                raw[line] = cells
                if len(rows) >= _BATCH:
                    await flush()
            await flush()
        finally:
            if collecting:
                gc.enable()
            rejects.close()
    return report
