import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = "SB_1DKUrrepwMXHKjIk0K9m4frWIORZgVUl87LMKxUE"  # nobody has the private half
BOX = """\
site: cp-014
edge: edge-01
data: {data}
central: {{broker: "mqtt://127.0.0.1:{port}", http: "http://127.0.0.1:{port}", seal_key: {key}}}
screen: {{port: 0}}
cameras:
  - {{id: cam-1, source: {data}/absent.mp4, watch: checkpoint}}
"""


def edge(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def config(tmp_path: Path, free_port: Callable[[], int]) -> Path:
    path = tmp_path / "box.yaml"
    path.write_text(BOX.format(data=tmp_path / "data", port=free_port(), key=KEY))
    return path


@pytest.mark.parametrize("verb", ["run", "replay"])
def test_an_unknown_key_is_named_with_file_and_line(config: Path, verb: str) -> None:
    config.write_text(config.read_text().replace("edge: edge-01", "edge: edge-01\nspeed: 3"))
    arguments: list[str | Path] = ["run", config] if verb == "run" else ["replay", "clip.mp4", "--config", config]
    ended = edge(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{config}:3: speed: unknown key; remove it or correct its spelling\n"


def test_a_box_without_central_cannot_be_run(config: Path) -> None:
    config.write_text("".join(line for line in config.read_text().splitlines(True) if not line.startswith("central")))
    ended = edge("run", config)
    assert ended.returncode == 2
    assert "central: missing; add it" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_clip_that_is_not_there_is_said_plainly(config: Path) -> None:
    ended = edge("replay", "absent.mp4", "--config", config)
    assert ended.returncode == 2
    assert "absent.mp4" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_that_nothing_can_be_sealed_to_is_refused_at_once(config: Path) -> None:
    config.write_text(config.read_text().replace(KEY, "A" * 43))
    ended = edge("run", config)
    assert ended.returncode == 2
    assert f"{config}: central.seal_key: is no public key" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_picture_that_is_none_gets_a_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("no picture")
    ended = edge("read", tmp_path / "x.png")
    assert ended.returncode == 1
    assert "error" in json.loads(ended.stdout)


def _until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + 60
    while not true():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.05)


def _eyes_of(gate: int) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == gate and b"edge.eyes" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_a_box_shows_its_screen_restarts_a_dead_eye_and_ends_cleanly(config: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "edge", "run", str(config)]
        gate = subprocess.Popen(command, cwd=ROOT, stderr=stderr, stdout=subprocess.DEVNULL)
    try:
        address = tmp_path / "data" / "screen.url"
        _until(address.exists)
        _until(address.read_text)
        with urlopen(address.read_text().strip(), timeout=10) as page:
            assert "cp-014" in page.read().decode()
        _until(lambda: "not_found: no_file" in log.read_text())
        _until(lambda: _eyes_of(gate.pid))
        (eye,) = _eyes_of(gate.pid)
        os.kill(eye, signal.SIGKILL)
        _until(lambda: _eyes_of(gate.pid) not in ([], [eye]))
        (again,) = _eyes_of(gate.pid)
        assert "eye of cam-1: ended; starting it again" in log.read_text()
        gate.terminate()
        assert gate.wait(20) == 0
        assert not Path(f"/proc/{again}").exists()
        assert "Traceback" not in log.read_text()
    finally:
        gate.kill()
        gate.wait()
