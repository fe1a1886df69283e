"""The one-box form as it is installed: the units' own command lines, under a supervisor that starts again what ends."""

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.clips import render
from tests.faults import rig

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]
BOX = rig.ROOT / "configs/box"
UNITS = ("broker", "central", "edge")


def command(unit: str, folder: Path) -> list[str]:
    """What systemd would start, with this checkout as /opt/cua-o and a folder of the test's as /etc/cua-o."""
    told = configparser.ConfigParser(strict=False, interpolation=None)
    told.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals
    told.read(BOX / f"cua-o-{unit}.service")
    assert told["Service"]["Restart"] == "always"
    assert told["Service"]["WorkingDirectory"] == "/opt/cua-o"
    program, *words = shlex.split(told["Service"]["ExecStart"])
    program = program.replace("/opt/cua-o/.venv/bin/python", sys.executable)
    return [program, *(word.replace("/etc/cua-o", str(folder)) for word in words)]


@dataclass
class Post:
    folder: Path
    http: int

    def ready(self) -> tuple[int, dict[str, bool]]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.http}/health/ready", timeout=5, trust_env=False)
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, answer.json()

    def control(self, *words: str) -> str:
        config = str(self.folder / "supervisord.conf")
        program = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", config]
        return subprocess.run([*program, *words], capture_output=True, text=True, check=False).stdout

    def process(self, unit: str) -> int:
        return int(self.control("pid", unit))


def settled(true: Callable[[], object], what: str) -> None:
    rig.until(true, what, 90)


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    folder = tmp_path_factory.mktemp("post")
    broker, http = rig.free_port(), rig.free_port()
    conf = (rig.ROOT / "configs/mosquitto.conf").read_text().replace("listener 1883", f"listener {broker}")
    (folder / "mosquitto.conf").write_text(conf + ("\nuser root\n" if os.geteuid() == 0 else ""))
    for name in ("central", "edge"):
        text = (BOX / f"{name}.yaml").read_text().replace("/var/lib/cua-o", str(folder / "var"))
        told = yaml.safe_load(text.replace(":1883", f":{broker}").replace(":8000", f":{http}"))
        if name == "central":
            told["port"] = http
        else:
            told["cameras"][0]["source"] = str(render(folder / "clip.mp4"))
            told["screen"] = {"port": 0}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(told))
    sections = [
        f"[supervisord]\nlogfile={folder}/supervisord.log\npidfile={folder}/pid\nnodaemon=true\nsilent=true",
        f"[unix_http_server]\nfile={folder}/s",
        f"[supervisorctl]\nserverurl=unix://{folder}/s",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    sections += [
        f"[program:{unit}]\ncommand={shlex.join(command(unit, folder))}\ndirectory={rig.ROOT}\nautorestart=true\n"
        f"startretries=20\nstartsecs=0\nredirect_stderr=true\nstdout_logfile={folder}/{unit}.log"
        for unit in UNITS
    ]
    (folder / "supervisord.conf").write_text("\n\n".join(sections) + "\n")
    words = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(folder / "supervisord.conf")]
    supervisor = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    made = Post(folder, http)
    try:
        settled(lambda: made.ready()[0] == 200, "central")
        settled((folder / "var/edge/screen.url").exists, "the edge box")
        yield made
    finally:
        children = psutil.Process(supervisor.pid).children(recursive=True)
        supervisor.terminate()
        supervisor.wait(60)
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_the_box_is_known_to_central_and_shows_its_screen(post: Post) -> None:
    screen = (post.folder / "var/edge/screen.url").read_text().strip()
    assert httpx.get(screen, trust_env=False, follow_redirects=True).is_success

    def online() -> bool:
        told = httpx.get(f"http://127.0.0.1:{post.http}/metrics", trust_env=False).text
        return "cua_o_edges_online 1" in told

    settled(online, "the box's birth")


@pytest.mark.parametrize("unit", UNITS)
def test_what_is_killed_is_back_by_itself(post: Post, unit: str) -> None:
    before = post.process(unit)
    os.kill(before, signal.SIGKILL)
    settled(lambda: post.process(unit) not in {0, before}, unit)
    settled(lambda: post.ready()[0] == 200, "central")


def test_central_says_that_it_is_not_ready_while_its_broker_is_away(post: Post) -> None:
    post.control("stop", "broker")
    settled(lambda: post.ready() == (503, {"database": True, "broker": False}), "the truth")
    post.control("start", "broker")
    settled(lambda: post.ready() == (200, {"database": True, "broker": True}), "central")


def test_central_says_that_it_is_not_ready_while_its_database_is_away() -> None:
    folder = Path(tempfile.mkdtemp(prefix="away-", dir="/tmp"))  # PostgreSQL's owner cannot enter pytest's own
    folder.chmod(0o755)
    postgres, port = rig.Postgres(folder / "pg", rig.free_port()), rig.free_port()
    broker = rig.mosquitto(folder, port)
    http = rig.free_port()
    central = rig.central(folder, "central", broker=f"mqtt://127.0.0.1:{port}", database=postgres.url, port=http)
    post = Post(folder, http)
    try:
        broker.start()
        postgres.start()
        central.start()
        settled(lambda: post.ready()[0] == 200, "central")
        assert postgres.part.process is not None
        # an immediate shutdown ends its backends too; after kill -9 they may answer on for a while
        postgres.part.process.send_signal(signal.SIGQUIT)
        postgres.part.process.wait(30)
        settled(lambda: post.ready() == (503, {"database": False, "broker": True}), "the truth")
        postgres.start()
        settled(lambda: post.ready()[0] == 200, "central")
    finally:
        for part in (central, broker, postgres.part):
            part.kill()
        shutil.rmtree(folder)
