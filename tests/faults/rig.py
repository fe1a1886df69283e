"""A city of processes on loopback that can be killed: broker, PostgreSQL, centrals, edges."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(true: Callable[[], object], what: str, seconds: float = START_S) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{what}: it never came")
        time.sleep(0.02)


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@dataclass
class Part:
    """One process. Killed, it is started again by the same words, on the same port and folder."""

    name: str
    folder: Path
    words: Sequence[str] = ()
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.words, cwd=ROOT, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """As a power cut would end it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, seconds: float = 20.0) -> int | None:
        """By SIGTERM; its exit status."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self.process = None
        return status

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def rss_kib(self) -> int:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def cpu_s(self) -> float:
        """User and system time so far."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def mosquitto(folder: Path, port: int, *extra: str) -> Part:
    """A broker that keeps nothing."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise FileNotFoundError("mosquitto is missing: run scripts/setup")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", "set_tcp_nodelay true"]
    lines += ["max_queued_messages 0", "max_inflight_messages 0", "log_dest stderr", *extra]
    config.write_text("\n".join(lines) + "\n")
    return Part("mosquitto", folder, [program, "-c", str(config)])


@dataclass
class Postgres:
    """A server of its own, with fsync, so that a commit costs what it costs."""

    folder: Path
    port: int
    part: Part = field(init=False)

    def __post_init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        if not found:
            raise FileNotFoundError("PostgreSQL is missing: run scripts/setup")
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = os.geteuid() == 0  # initdb refuses root
        if owner:
            shutil.chown(self.folder, "postgres")
        data = self.folder / "data"
        as_owner = ("runuser", "-u", "postgres", "--") if owner else ()
        initdb = [*as_owner, str(found[-1]), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*initdb, "--locale=C.UTF-8", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder), "port": self.port}
        settings |= {"shared_buffers": "256MB", "max_wal_size": "4GB"}
        with (data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        program = str(found[-1].with_name("postgres"))
        # setpriv becomes the server itself, so that a kill meets the postmaster and not a shell before it
        words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if owner else []
        self.part = Part("postgres", self.folder, [*words, program, "-D", str(data)])

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self.part.start()
        until(lambda: self.query("SELECT 1") is not None, "postgres")

    def query(self, statement: str) -> list[tuple[Any, ...]] | None:
        """The rows, or None while it does not answer."""

        async def ask() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user="postgres", database="postgres", timeout=5
            )
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        try:
            return asyncio.run(ask())
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return None

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        until(lambda: self.query("SELECT 1") is not None, "postgres")
        return self.query(statement) or []


def central(folder: Path, name: str, *, broker: str, database: str, port: int = 0, **settings: object) -> Part:
    """`data` is shared by all of a city's centrals: their keys lie there."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / f"{name}.yaml"
    told = {"database": database, "broker": broker, "data": str(folder / "central"), "port": port} | settings
    config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in told.items()))
    return Part(name, folder, [sys.executable, "-m", "central", "serve", str(config)])


def edge(folder: Path, name: str, *, broker: str, **options: object) -> Part:
    """A box without cameras: the real outbox and link, and events that a seed makes."""
    words = [sys.executable, "-m", "tests.faults.edge", "--name", name, "--broker", broker, "--folder", str(folder)]
    for option, value in options.items():
        if value is True:
            words.append(f"--{option.replace('_', '-')}")
        elif value is not False:
            words += [f"--{option.replace('_', '-')}", str(value)]
    return Part(name, folder, words)


def generated(folder: Path, name: str) -> dict[str, str]:
    """The oracle: id -> type of all that this edge had on its disk."""
    path = folder / f"{name}.generated"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: kind for name, _, kind in (line.partition(" ") for line in lines)}
