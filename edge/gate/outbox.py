"""Every event of the box, on disk until central says that it has it.

One SQLite file, WAL, synchronous FULL; one writer thread commits what has queued up while it was committing, deletions
by receipt included. A row leaves only by a receipt: a PUBACK is a broker's word, and a broker may lose everything.
"""

import fcntl
import json
import logging
import math
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

log = logging.getLogger(__name__)

Urgency = Literal["now", "history"]
Ranges = tuple[tuple[int, int], ...]

_LINGER_S = 0.02
"""How long a group without anything urgent waits for company: an fsync costs the same for one row and for a hundred."""
_GROUP = 1000
_QUEUE = 10_000
_RETRY_S = 0.5
_THIN_FROM = 0.8
"""Part of the cap from which rows are thinned; the rest is kept for passes and breaches."""
_REFILL_S = 5.0
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    urgent INTEGER NOT NULL,
    body BLOB NOT NULL,
    thin TEXT
);
CREATE INDEX IF NOT EXISTS event_by_urgency ON event (urgent, sequence);
CREATE INDEX IF NOT EXISTS event_by_thin ON event (thin, sequence) WHERE thin IS NOT NULL;
"""
# AUTOINCREMENT: a plain rowid starts again when the table has emptied, and an old receipt would then delete new rows.


class InUse(RuntimeError):
    """Another process writes to this outbox."""


class Thinned(RuntimeError):
    """The disk is full: this event, of a kind that can be spared, was left out and is counted in `thinned`."""


class Row(NamedTuple):
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class _Put:
    make: Callable[[int, str], bytes]
    urgent: bool
    thin: str | None
    settles: Ranges
    done: "Future[int]"


@dataclass(frozen=True, slots=True)
class _Receipt:
    ranges: Ranges


@dataclass(slots=True)
class _Changes:
    """What one transaction does, told to nobody before its COMMIT."""

    last: int
    thinned: dict[str, Ranges]
    bytes: int
    stored: list[tuple[_Put, int]] = field(default_factory=list)
    left_out: list[_Put] = field(default_factory=list)
    failed: list[tuple[_Put, Exception]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)


def _with(ranges: Ranges, more: Iterable[int]) -> Ranges:
    found: list[tuple[int, int]] = []
    for first, last in sorted((*ranges, *((number, number) for number in more))):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _without(ranges: Ranges, gone: Ranges) -> Ranges:
    for first, last in gone:
        parts = (part for low, high in ranges for part in ((low, min(high, first - 1)), (max(low, last + 1), high)))
        ranges = tuple((low, high) for low, high in parts if low <= high)
    return ranges


class _Ballast:
    """A file that holds room for us on the disk, against the day when everybody else has filled it."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def fill(self) -> bool:
        """Whether it is there now. It is made only where as much again stays free."""
        if self._size == 0 or (self._path.exists() and self._path.stat().st_size == self._size):
            return True
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._size:
            return False
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:
            self.drop()
            return False
        return True

    def drop(self) -> bool:
        """Give the room free. False when there was none to give."""
        held = self._path.exists()
        self._path.unlink(missing_ok=True)
        return held


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _check(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("its pages contradict each other")


def _open(path: Path) -> tuple[sqlite3.Connection, bool]:
    """The file, checked; a damaged one is moved aside and a new one begun (True)."""
    try:
        connection = _connect(path)
        try:
            _check(connection)
            connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            connection.close()
            raise
    except sqlite3.OperationalError:
        raise  # a full or read-only disk says nothing about the file
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        log.error(  # noqa: TRY400  (an operator needs the remedy, not the stack)
            "outbox %s is damaged (%s): moved aside to %s, a new one begins; keep that file, events in it may be saved",
            path, error, aside.name,
        )  # fmt: skip
        connection = _connect(path)
        connection.executescript(_SCHEMA)
        return connection, True
    return connection, False


class Outbox:
    """Thread-safe. `epoch` names this file: a receipt for another one is none of its business.

    `on_commit` is called, on the writer's thread, after each commit that stored something new. `thin_order` are the
    kinds that can be spared, the first to go first: near `cap_bytes` the oldest of them make room.
    """

    def __init__(
        self,
        path: Path,
        *,
        cap_bytes: int = 512 << 20,
        ballast_bytes: int = 8 << 20,
        thin_order: Sequence[str] = (),
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = path.with_name(path.name + ".lock").open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock_file.close()
            raise InUse(
                f"{path}: another edge process uses this outbox; stop it or set another `data` folder"
            ) from error
        self._writing, self.was_damaged = _open(path)
        self._reading = _connect(path)
        self._on_commit = on_commit
        self._thin_order = tuple(thin_order)
        self._limit_bytes = self._roomy_bytes = cap_bytes * _THIN_FROM
        self.epoch = self._meta("epoch", secrets.token_hex(8))
        told: dict[str, list[list[int]]] = json.loads(self._meta("thinned by kind", "{}"))
        self._thinned: dict[str, Ranges] = {kind: tuple((first, last) for first, last in told[kind]) for kind in told}
        row = self._writing.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        self._last: int = row[0] if row else 0
        self._waiting: int
        self._bytes: int
        self._waiting, self._bytes = self._writing.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM event"
        ).fetchone()
        self._ballast = _Ballast(path.with_name(path.name + ".ballast"), ballast_bytes)
        self._refill_at = math.inf
        if not self._ballast.fill():
            self._full()
        self._guard = threading.Lock()
        self._sent: set[int] = set()
        self._held = self._last if self._waiting else 0  # what an earlier process has perhaps sent
        self._queue: queue.Queue[_Put | _Receipt | None] = queue.Queue(_QUEUE)
        self._closing = threading.Event()
        self.strange_receipts = 0
        self.failed_commits = 0
        self._writer = threading.Thread(target=self._write, name="outbox")
        self._writer.start()

    def _meta(self, key: str, new: str) -> str:
        self._writing.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, new))
        value: str = self._writing.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
        return value

    @property
    def generated(self) -> int:
        """Sequences given away in this epoch, thinned ones included."""
        return self._last

    @property
    def waiting(self) -> int:
        """Committed and not yet receipted."""
        return self._waiting

    @property
    def thinned(self) -> Mapping[str, Ranges]:
        """Kind -> sequences left out and not yet told to anybody."""
        return self._thinned

    @property
    def is_full(self) -> bool:
        """The disk has no room but what the ballast left."""
        return self._refill_at != math.inf

    @property
    def is_tight(self) -> bool:
        """What can be spared is being thinned."""
        return self._bytes >= self._limit_bytes or self.is_full

    def put(
        self, make: Callable[[int, str], bytes], urgency: Urgency, *, thin: str | None = None, settles: Ranges = ()
    ) -> "Future[int]":
        """Keep `make(sequence, epoch)`; the future holds the sequence once it is on the disk.

        What has a kind of `thin_order` can go again to make room, its sequence then joins `thinned`; on a full disk it
        is not taken in (the future raises Thinned). Nothing else is ever refused. `settles` are the thinned sequences
        that this event tells of. `make` may be called again when a commit fails, so it must give the same bytes for
        the same sequence.
        """
        done: Future[int] = Future()
        self._queue.put(_Put(make, urgency == "now", thin if thin in self._thin_order else None, settles, done))
        return done

    def receipt(self, epoch: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Forget these (ends included) with the next commit."""
        if epoch != self.epoch:
            self.strange_receipts += 1
            return
        self._queue.put(_Receipt(tuple(ranges)))

    def unsent(self, urgency: Urgency, *, limit: int = 100, limit_bytes: int = 64 << 10) -> list[Row]:
        """What to send next: the newest first that is not on its way, at least one row if there is any. They count as
        on their way until a receipt comes or `resend` is called. Call it from one thread only."""
        with self._guard:
            sent, held = set(self._sent), self._held
        rows: list[Row] = []
        size = 0
        for sequence, body in self._reading.execute(
            "SELECT sequence, body FROM event WHERE urgent = ? AND sequence > ? ORDER BY sequence DESC LIMIT ?",
            (urgency == "now", held, limit + len(sent)),
        ):
            if sequence in sent:
                continue
            size += len(body)
            if rows and size > limit_bytes:
                break
            rows.append(Row(sequence, body))
            if len(rows) == limit:
                break
        with self._guard:
            self._sent.update(row.sequence for row in rows)
        return rows[::-1]

    @property
    def unsure(self) -> Ranges:
        """What an earlier process has perhaps sent; `unsent` does not give it before `resend` is called."""
        return ((1, self._held),) if self._held else ()

    def resend(self, sequences: Iterable[int] | None = None) -> None:
        """These (or all, an earlier process's too) are no longer on their way; `unsent` gives them again."""
        with self._guard:
            if sequences is None:
                self._sent.clear()
                self._held = 0
            else:
                self._sent.difference_update(sequences)

    def let_go(self) -> None:
        """What an earlier process has perhaps sent may be sent."""
        with self._guard:
            self._held = 0

    def close(self) -> None:
        """Commit what is queued and end."""
        self._closing.set()
        self._queue.put(None)
        self._writer.join()
        self._reading.close()
        self._writing.close()
        self._lock_file.close()

    def _group(self) -> tuple[list[_Put | _Receipt], bool]:
        """What to commit together, and whether more can come."""
        group: list[_Put | _Receipt] = []
        until: float | None = None
        while len(group) < _GROUP:
            try:
                item = self._queue.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                return group, False
            group.append(item)
            if isinstance(item, _Put) and item.urgent:
                until = 0.0
            elif until is None:
                until = time.monotonic() + _LINGER_S
        return group, True

    def _write(self) -> None:
        more = True
        while more:
            group, more = self._group()
            size = len(group)
            while group:
                try:
                    self._commit(group[:size])
                    group = group[size:]
                except sqlite3.Error as error:
                    self.failed_commits += 1
                    if self._writing.in_transaction:
                        self._writing.execute("ROLLBACK")
                    if self._closing.is_set():
                        log.error("outbox: %d changes could not be kept (%s); make room on the disk", len(group), error)  # noqa: TRY400  (the remedy, not the stack)
                        for item in group:
                            if isinstance(item, _Put):
                                item.done.set_exception(error)
                        break
                    if error.sqlite_errorcode & 0xFF in _NO_ROOM:
                        size = max(1, size // 2)  # a smaller transaction may still find room
                        if self._full() or size > 1:
                            continue
                    log.warning("outbox: commit failed (%s), trying again; make room on the disk", error)
                    self._closing.wait(_RETRY_S)

    def _full(self) -> bool:
        """From now on nothing grows that can be spared. Whether there was ballast to give away."""
        self._refill_at = time.monotonic() + _REFILL_S
        self._limit_bytes = min(self._limit_bytes, self._bytes)
        return self._ballast.drop()

    def _refill(self) -> None:
        now = time.monotonic()
        if now < self._refill_at:
            return
        if self._ballast.fill():
            log.info("outbox: there is room on the disk again")
            self._refill_at, self._limit_bytes = math.inf, self._roomy_bytes
        else:
            self._refill_at = now + _REFILL_S

    def _commit(self, group: list[_Put | _Receipt]) -> None:
        if self.is_full:
            self._refill()
            self._writing.execute("PRAGMA wal_checkpoint")  # so that the log is written over instead of growing
        changes = _Changes(self._last, dict(self._thinned), self._bytes)
        execute = self._writing.execute
        execute("BEGIN IMMEDIATE")
        for item in group:
            if isinstance(item, _Put):
                self._keep(item, changes)
            else:
                self._forget(item, changes)
        self._thin(changes)
        if changes.thinned != self._thinned:
            execute("UPDATE meta SET value = ? WHERE key = 'thinned by kind'", (json.dumps(changes.thinned),))
        if changes.left_out:  # their numbers are spent, also after a restart
            execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'", (changes.last,))
        execute("COMMIT")
        self._last, self._thinned, self._bytes = changes.last, changes.thinned, changes.bytes
        self._waiting += len(changes.stored) - len(changes.gone)
        with self._guard:
            self._sent.difference_update(changes.gone)
        for put, sequence in changes.stored:
            put.done.set_result(sequence)
        for put in changes.left_out:
            put.done.set_exception(Thinned("the disk is full"))
        for put, fault in changes.failed:
            put.done.set_exception(fault)
        if changes.stored and self._on_commit is not None:
            self._on_commit()

    def _keep(self, put: _Put, changes: _Changes) -> None:
        if put.thin is not None and self.is_full:
            changes.last += 1
            changes.thinned[put.thin] = _with(changes.thinned.get(put.thin, ()), [changes.last])
            changes.left_out.append(put)
            return
        try:
            body = put.make(changes.last + 1, self.epoch)
        except Exception as error:  # noqa: BLE001  (the caller's fault goes back to it; other rows are kept)
            changes.failed.append((put, error))
            return
        changes.last += 1
        self._writing.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (changes.last, put.urgent, body, put.thin))
        changes.bytes += len(body)
        if put.settles:
            changes.thinned = {
                kind: left for kind, told in changes.thinned.items() if (left := _without(told, put.settles))
            }
        changes.stored.append((put, changes.last))

    def _forget(self, receipt: _Receipt, changes: _Changes) -> None:
        for bounds in receipt.ranges:
            rows = self._writing.execute(
                "DELETE FROM event WHERE sequence BETWEEN ? AND ? RETURNING sequence, length(body)", bounds
            ).fetchall()
            changes.gone += (sequence for sequence, _ in rows)
            changes.bytes -= sum(size for _, size in rows)

    def _thin(self, changes: _Changes) -> None:
        """The oldest of the first kind, then of the second; never what is on its way, or has perhaps come."""
        with self._guard:
            sent, held = set(self._sent), self._held
        for kind in self._thin_order:
            if changes.bytes <= self._limit_bytes:
                return
            rows = self._writing.execute(
                "SELECT sequence, length(body) FROM event WHERE thin = ? AND sequence > ? ORDER BY sequence LIMIT ?",
                (kind, held, _GROUP + len(sent)),
            ).fetchall()
            gone: list[int] = []
            for sequence, size in rows:
                if changes.bytes <= self._limit_bytes:
                    break
                if sequence not in sent:
                    gone.append(sequence)
                    changes.bytes -= size
            self._writing.executemany("DELETE FROM event WHERE sequence = ?", [(sequence,) for sequence in gone])
            changes.gone += gone
            if gone:
                changes.thinned[kind] = _with(changes.thinned.get(kind, ()), gone)
