"""Real neighbours for the tests: a broker, a database, free ports, the development data."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 20.0


def _pick_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `port` accepts; fail with the log's end when the process dies or the time is up."""
    give_up = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    pytest.fail(f"{process.args!r} never listened on {port}:\n{log.read_text(errors='replace')[-2000:]}")


@dataclass
class Broker:
    """A Mosquitto process of this test alone; what it held in memory is gone after `kill`."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "mosquitto.log"

    def start(self) -> None:
        """Listen on the same port as before."""
        assert self.process is None, "the broker already runs"
        # sbin is not on everybody's PATH
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.fail("mosquitto is missing: run scripts/setup")
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
            "log_dest stderr\nmax_queued_messages 0\n",
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([program, "-c", str(config)], stderr=log, stdin=subprocess.DEVNULL)
        _await_port(self.port, self.process, self.log)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server of this test session; `psql` runs one statement in its first database."""

    port: int
    binaries: Path
    as_owner: tuple[str, ...]

    def psql(self, statement: str) -> None:
        command = [*self.as_owner, str(self.binaries / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", statement, "postgres"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("NO DEVELOPMENT DATA: shared/data is not beside the project, this test proves nothing here")
    return folder


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Every call gives a loopback port on which nothing listens."""
    return _pick_port


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Broker(_pick_port(), folder)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.fail("PostgreSQL is missing: run scripts/setup")
    binaries = found[-1].parent
    # initdb refuses root
    as_owner = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    # a socket path holds 107 bytes at most: pytest's own folders can be longer
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if as_owner:
        shutil.chown(folder, "postgres")
    data = folder / "data"
    port = _pick_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [*as_owner, str(binaries / "pg_ctl"), "-D", str(data), "-s", "-w"]
    initdb = [*as_owner, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    initdb += ["--locale=C.UTF-8", "--no-sync"]
    # cwd: the owner cannot enter root's home
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
    start = [*control, "-l", str(folder / "log"), "-o", options, "start"]
    subprocess.run(start, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")
    yield Cluster(port, binaries, as_owner)
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdin=subprocess.DEVNULL, cwd="/")
    shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_cluster: Cluster) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    name = f"t{uuid.uuid4().hex}"
    postgres_cluster.psql(f'CREATE DATABASE "{name}"')
    yield f"postgresql+asyncpg://postgres@127.0.0.1:{postgres_cluster.port}/{name}"
    postgres_cluster.psql(f'DROP DATABASE "{name}" WITH (FORCE)')
