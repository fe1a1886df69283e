"""The registry's sections of `scripts/bench/decision`: what a gate carries, an answer through central, the import."""

import argparse
import asyncio
import gc
import io
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db, keys
from central.registry.load import load
from central.registry.service import facts_of, resolve
from models.passes.facts import Written, standing
from models.passes.outcome import Outcome
from models.passes.packing import Packed, Packer, Person, key_of
from models.passes.policy import load as load_policy
from models.wire import events
from models.wire.seal import Identity, seal
from models.wire.topics import Box
from scripts.city import people

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.now(UTC).replace(microsecond=0)
SECRET = b"bench".ljust(32, b"-")
LOOKUPS = 200_000
SCANS = 400
BOX = Box("cp-014", "bench-01")


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def line(name: str, value: float, unit: str) -> None:
    print(f"  {name:<58}{value:>12.2f} {unit}", flush=True)


def _resident(number: int, chance: random.Random) -> Person:
    """As the demo's residents are: nearly all declared within two weeks, a few F0, F1, or under an order."""
    imported = NOW - timedelta(hours=5)
    hours = chance.random() * (24 if chance.random() < 0.85 else 24 * 14)
    told: list[tuple[str, object]] = [("known", True)]
    told.append(("declared_at", (NOW - timedelta(hours=hours)).isoformat()))
    fate = chance.random()
    if fate < 0.0005:
        told.append(("status_f0", True))
    elif fate < 0.003:
        told.append(("status_f1", True))
    elif fate < 0.006:
        told.append(("order_active", chance.choice(("qs-001", "qs-002", "home-7", "home-8"))))
    history = [
        Written(at, kind, value, None if kind == "known" else imported, None, imported, "bench")
        for at, (kind, value) in enumerate(told)
    ]
    return Person([key_of(SECRET, "cccd", f"{number:012}")], f"NAME {number % 5000}", "1980", history)


def snapshot(asked: argparse.Namespace) -> dict[str, float]:
    """Size and speed of what a gate carries."""
    chance, count = random.Random(asked.seed), int(asked.keys)
    policy = load_policy(ROOT / "configs" / "policies" / "directive-22.json")
    packer = Packer(sorted({"known"} | policy.reads), built_at=NOW, complete=True)
    began = time.process_time()
    for number in range(count):
        packer.add(_resident(number, chance))
    added = time.process_time()
    sink = io.BytesIO()
    packer.write(sink)
    written = time.process_time()
    size = sink.getbuffer().nbytes
    del packer
    data = bytearray(sink.getbuffer())
    del sink
    packed = Packed(data)
    numbers = [f"{chance.randrange(count):012}" for _ in range(LOOKUPS)]
    strangers = [f"9{chance.randrange(10**11):011}" for _ in range(LOOKUPS)]
    every = packed._keys  # noqa: SLF001  (the peer searches the same array)
    runs: dict[str, Callable[[str], object]] = {
        "a number that is there": lambda number: packed.find(key_of(SECRET, "cccd", number)),
        "limit: its key alone (keyed BLAKE2b)": lambda number: key_of(SECRET, "cccd", number),
        "peer: bisect over the whole array": lambda number: bisect_left(every, key_of(SECRET, "cccd", number)),
        "with the facts read and standing": lambda number: standing(
            packed.read(packed.find(key_of(SECRET, "cccd", number)) or 0).history, NOW
        ),
    }
    print(f"a snapshot of {count:,} keys ({size / 1e6:.0f} MB, {size / count:.2f} bytes a key)")
    line("packing, CPU a resident (making it up included)", (added - began) / count * 1e6, "us")
    line("sorting and writing, CPU a key", (written - added) / count * 1e6, "us")
    p99 = {}
    gc.disable()
    for name, run in runs.items():
        took = _each(run, numbers if "stand" not in name else numbers[:20_000])
        p99[name] = percentile(took, 0.99)
        line(f"{name}, p50", percentile(took, 0.5), "us")
        line(f"{name}, p99", p99[name], "us")
    absent = _each(lambda number: packed.find(key_of(SECRET, "cccd", number)), strangers)
    gc.enable()
    line("a number that is not there, p99", percentile(absent, 0.99), "us")
    return {
        "snapshot_p99_us": round(p99["a number that is there"], 2),
        "snapshot_mb_10m": round(size / count * 10, 1),
    }


def _each(run: Callable[[str], object], numbers: Sequence[str]) -> list[float]:
    clock, took = time.perf_counter_ns, []
    for number in numbers:
        began = clock()
        run(number)
        took.append((clock() - began) / 1000)
    return took


# ---- through central


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def central(asked: argparse.Namespace) -> dict[str, float]:
    """From a scan on the wire to its verdict on the wire: a real broker, central as a process, 100,000 residents."""
    with tempfile.TemporaryDirectory() as name:
        folder, port, http = Path(name), _port(), _port()
        config, broker, residents = folder / "central.yaml", folder / "mosquitto.conf", folder / "residents.csv"
        broker.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        config.write_text(
            f"database: sqlite+aiosqlite:///{folder}/central.db\nbroker: mqtt://127.0.0.1:{port}\n"
            f"data: {folder}/data\nport: {http}\nsnapshot: {{every_seconds: 3600}}\n"
        )
        people.write(residents, NOW, rows=100_000, seed=asked.seed)
        python = (sys.executable, "-m", "central")
        subprocess.run(
            [*python, "import-residents", str(residents), "--config", str(config)],
            check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with residents.open(encoding="utf-8") as file:
            numbers = [row.split(",")[:2] for row in file.readlines()[1:]]
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with _process(mosquitto, "-c", str(broker)), _process(*python, "serve", str(config)):
            deadline = time.monotonic() + 60
            while not _ready(http):
                if time.monotonic() > deadline:
                    raise TimeoutError("central is not ready after 60 s")
                time.sleep(0.1)
            time.sleep(6)  # the first snapshot is built beside
            took = _ask(port, keys.load(folder / "data").public, numbers, asked.seed)
    print(f"an answer through central ({len(took)} scans, one after another)")
    p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
    line("scan to verdict, p50", p50, "ms")
    line("scan to verdict, p99", p99, "ms")
    return {"central_p50_ms": round(p50, 2), "central_p99_ms": round(p99, 2)}


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=1).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _without_delay(_client: mqtt.Client, _userdata: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _ask(port: int, recipient: bytes, numbers: Sequence[Sequence[str]], seed: int) -> list[float]:
    chance, took, answered = random.Random(seed), [], threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_socket_open = _without_delay
    client.on_message = lambda *_: answered.set()
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe(BOX.verdict, qos=1)
    subscribed.wait(5)
    for sequence in range(1, SCANS + 51):
        number, name = chance.choice(numbers)
        data = events.PassScanned(
            kind="cccd",
            sealed=seal(Identity(ids=(("cccd", number),), name=name), recipient),
            local=events.Local(outcome=Outcome.CHECK, reasons=("no_registry",)),
        )
        event = events.Event(
            id=f"bench-{sequence}", site=BOX.site, edge=BOX.edge, camera="cam-1", time=datetime.now(UTC),
            clock="synced", sequence=sequence, epoch="bench", data=data,
        )  # fmt: skip
        payload = events.join([events.encode(event)])
        answered.clear()
        began = time.perf_counter()
        client.publish(BOX.event, payload, qos=1)
        if not answered.wait(10):
            raise TimeoutError("no verdict after 10 s")
        took.append((time.perf_counter() - began) * 1000)
    client.disconnect()
    client.loop_stop()
    return took[50:]


# ---- the import


@contextmanager
def _postgres() -> Iterator[str]:
    """A server of its own, as it comes but for fsync: both sides of the comparison run on it."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    owner = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if owner:
        shutil.chown(folder, "postgres")
    port, data = _port(), folder / "data"

    def quietly(*words: str) -> None:
        subprocess.run(words, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    initdb = [*owner, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    quietly(*initdb, "--locale=C.UTF-8", "--no-sync")
    control = [*owner, str(binaries / "pg_ctl"), "-D", str(data), "-s", "-w"]
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off -c max_wal_size=8GB"
    )
    quietly(*control, "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
    finally:
        quietly(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def imports(asked: argparse.Namespace) -> dict[str, float]:
    """Residents into an empty PostgreSQL, beside the bare COPY and indexes of the same rows; then a tenth again."""
    with _postgres() as url, tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)  # the server writes there what it reads again
        return asyncio.run(_imports(url, Path(name), int(asked.rows), asked.seed))


async def _imports(url: str, folder: Path, count: int, seed: int) -> dict[str, float]:
    own, whole, part = keys.load(folder / "keys"), folder / "whole.csv", folder / "part.csv"
    people.write(whole, NOW, rows=count, seed=seed)
    _renew(whole, part, count // 10)
    await db.upgrade(url)
    engine = db.connect(url)
    try:
        began = time.perf_counter()
        report = await load(engine, own, whole, NOW - timedelta(hours=1), quiet=True, beside_bytes=0)
        took = time.perf_counter() - began
        assert report.new == count, report
        bare = await _bare(engine, folder)
        began = time.perf_counter()
        again = await load(engine, own, part, NOW, quiet=True)
        delta = time.perf_counter() - began
        assert again.known == count // 10, again
        looked, known = await _looked(engine, own, whole, seed)
    finally:
        await engine.dispose()
    print(f"an import of {count:,} residents into PostgreSQL")
    line("the import", took, "s")
    line("limit: bare COPY and indexes of the same rows", bare, "s")
    line("import over COPY", took / bare, "times")
    line(f"a delta of {count // 10:,} residents", delta, "s")
    line("a lookup through the service (whose number), p50", percentile(looked, 0.5), "ms")
    line("a lookup through the service (whose number), p99", percentile(looked, 0.99), "ms")
    line("the same with all facts of the resident, p99", percentile(known, 0.99), "ms")
    return {"import_over_copy": round(took / bare, 2), "lookup_p99_ms": round(percentile(looked, 0.99), 3)}


def _renew(whole: Path, part: Path, count: int) -> None:
    """Every tenth resident has declared anew."""
    with whole.open(encoding="utf-8") as old, part.open("w", encoding="utf-8") as new:
        header = old.readline()
        new.write(header)
        column = header.strip().split(",").index("declared_at")
        for number, row in enumerate(old):
            if number % 10 == 0 and number // 10 < count:
                cells = row.rstrip("\r\n").split(",")
                cells[column] = NOW.isoformat()
                new.write(",".join(cells) + "\n")


async def _bare(engine: AsyncEngine, folder: Path) -> float:
    """The same rows from files by COPY into the same tables, then the same keys and indexes."""
    tables = ("resident", "identity", "fact")
    async with engine.connect() as connection:
        statements = await _later(connection, tables)
        for table in tables:
            await connection.exec_driver_sql(f"COPY {table} TO '{folder}/{table}'")
        await connection.exec_driver_sql("CREATE SCHEMA bare")
        began = time.perf_counter()
        for table in tables:
            await connection.exec_driver_sql(f"CREATE TABLE bare.{table} (LIKE public.{table})")
            await connection.exec_driver_sql(f"COPY bare.{table} FROM '{folder}/{table}'")
        await connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        await connection.exec_driver_sql("SET LOCAL search_path = bare")
        for statement in statements:
            await connection.exec_driver_sql(statement)
        for table in tables:
            await connection.exec_driver_sql(f"ANALYZE bare.{table}")
        took = time.perf_counter() - began
        await connection.rollback()
    return took


async def _later(connection: AsyncConnection, tables: Sequence[str]) -> list[str]:
    keyed: list[str] = []
    indexed: list[str] = []
    referring: list[str] = []
    for table in tables:
        for row in await connection.exec_driver_sql(
            "SELECT conname, contype::text, pg_get_constraintdef(oid) AS told FROM pg_constraint "  # noqa: S608  (ours)
            f"WHERE conrelid = 'public.{table}'::regclass"
        ):
            into = keyed if row.contype in "pu" else referring
            into.append(f"ALTER TABLE bare.{table} ADD CONSTRAINT {row.conname} {row.told}")
        for row in await connection.exec_driver_sql(
            "SELECT pg_get_indexdef(indexrelid) AS told FROM pg_index "  # noqa: S608  (ours)
            f"WHERE indrelid = 'public.{table}'::regclass AND NOT indisprimary AND NOT indisunique"
        ):
            indexed.append(row.told.replace(f" ON public.{table} ", f" ON bare.{table} "))  # noqa: PERF401
    return [*keyed, *indexed, *referring]


async def _looked(engine: AsyncEngine, own: keys.Keys, whole: Path, seed: int) -> tuple[list[float], list[float]]:
    with whole.open(encoding="utf-8") as file:
        numbers = [row[:12] for _, row in zip(range(50_000), file, strict=False)][1:]
    chance = random.Random(seed)
    looked, known = [], []
    async with db.reading(engine) as connection:
        for _ in range(3000):
            number = chance.choice(numbers)
            began = time.perf_counter()
            person = await resolve(connection, [own.key("cccd", number)])
            found = time.perf_counter()
            assert person is not None
            await facts_of(connection, person, NOW)
            looked.append((found - began) * 1000)
            known.append((time.perf_counter() - began) * 1000)
    return looked[500:], known[500:]
