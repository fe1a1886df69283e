import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import TypeVar

import cv2
import msgspec
import numpy as np
import pytest

from edge.settings import Camera, Zone
from edge.sighting import Health, Sighting, Still, Told, decode
from models.wire.events import CameraStatus
from scripts.city.rtsp import RtspServer
from tests.clips import render

GIVE_UP_SECONDS = 40.0
S = TypeVar("S", bound=Sighting)


class RunningEye:
    """An eye process and the gate's end of its socket."""

    def __init__(self, log: Path, cameras: list[Camera]) -> None:
        self.log = log
        self.gate, theirs = Pipe(duplex=True)
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge.eyes", "--fd", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        theirs.close()
        first = {"cameras": [camera.model_dump(mode="json") for camera in cameras], "boot": "b1"}
        self.gate.send_bytes(json.dumps(first).encode())

    def set(self, *cameras: Camera) -> None:
        again = {"cameras": [camera.model_dump(mode="json") for camera in cameras], "boot": "b1"}
        self.gate.send_bytes(json.dumps(again).encode())

    def hear(self, kind: type[S], matches: Callable[[S], bool] = lambda _: True) -> S:
        """The next sighting of this kind that matches."""
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            if self.gate.poll(1):
                what = decode(self.gate.recv_bytes())
                if isinstance(what, kind) and matches(what):
                    return what
        pytest.fail(f"no {kind.__name__} came:\n{self.log.read_text()}")

    def end(self) -> None:
        self.gate.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., RunningEye]]:
    started: list[RunningEye] = []

    def begin(*cameras: Camera) -> RunningEye:
        started.append(RunningEye(tmp_path / f"eye-{len(started)}.log", list(cameras)))
        return started[-1]

    yield begin
    for one in started:
        one.end()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("clip") / "clip.mp4", size=(800, 608))


def test_an_eye_tells_health_states_and_stills_and_ends_with_its_gate(
    clip: Path, run: Callable[..., RunningEye]
) -> None:
    zone = Zone(id="lane-a", kind="lane", polygon=((0, 0), (1, 0), (1, 1)))
    eye = run(Camera(id="cam-1", source=str(clip), watch="checkpoint", zones=(zone,)))
    first = msgspec.json.decode(eye.hear(Told).raw, type=CameraStatus)
    assert (first.state, first.was) == ("connecting", msgspec.UNSET)
    live = eye.hear(Told)
    assert live.event == "camera.status.v1"
    status = msgspec.json.decode(live.raw, type=CameraStatus)
    assert (status.camera, status.state, status.was, status.watched) == (
        "cam-1",
        "live",
        "connecting",
        {"lane-a": "armed"},
    )
    still = eye.hear(Still)
    picture = cv2.imdecode(np.frombuffer(still.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (486, 640, 3)
    health = eye.hear(Health, lambda told: told.health.fps is not msgspec.UNSET and told.health.frames > 10)
    assert (health.camera, health.health.state, health.health.watch) == ("cam-1", "live", "checkpoint")
    assert health.health.frame_age_s is not msgspec.UNSET
    eye.gate.close()
    assert eye.process.wait(timeout=10) == 0


def test_a_dead_camera_does_not_stop_its_neighbour_and_no_password_is_told(
    clip: Path, run: Callable[..., RunningEye]
) -> None:
    server = RtspServer(user="admin", password="right")
    server.add("cam", clip)
    server.start()
    source = server.url("cam")
    eye = run(
        Camera(id="cam-1", source=source.replace("//", "//admin:s3cr3t@"), watch="checkpoint"),
        Camera(id="cam-2", source=source.replace("//", "//admin:right@"), watch="checkpoint"),
    )
    refused = eye.hear(Health, lambda told: told.camera == "cam-1" and told.health.state == "unauthorised")
    assert "s3cr3t" not in repr(refused)
    eye.hear(Health, lambda told: told.camera == "cam-2" and told.health.state == "live")
    eye.process.send_signal(signal.SIGTERM)
    assert eye.process.wait(timeout=10) == 0
    server.stop()
    log = eye.log.read_text()
    assert "cam-1" in log
    assert "s3cr3t" not in log
    assert "right" not in log


def test_cameras_come_and_go_and_change_while_the_others_do_not_notice(
    clip: Path, run: Callable[..., RunningEye]
) -> None:
    server = RtspServer()
    server.add("cam", clip)
    server.start()
    stays, goes, comes = (Camera(id=name, source=server.url("cam"), watch="checkpoint") for name in ("a", "b", "c"))
    eye = run(stays, goes)
    eye.hear(Health, lambda told: told.camera == "b" and told.health.state == "live")
    eye.set(stays, comes)
    eye.hear(Health, lambda told: told.camera == "c" and told.health.state == "live")
    eye.set(stays, comes.model_copy(update={"mode": "trial"}))
    eye.hear(Health, lambda told: told.camera == "c" and told.health.mode == "trial")
    assert eye.hear(Health, lambda told: told.camera == "c" and told.health.frames > 10).health.connects == 1
    last = eye.hear(Health, lambda told: told.camera == "a").health
    server.stop()
    assert last.connects == 1
    assert last.frames > 10


def test_a_first_message_that_is_no_list_of_cameras_ends_the_eye_without_quoting_it(tmp_path: Path) -> None:
    gate, theirs = Pipe(duplex=True)
    command = [sys.executable, "-m", "edge.eyes", "--fd", str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE, text=True) as process:
        theirs.close()
        gate.send_bytes(b'{"cameras": [{"source": "rtsp://u:s3cr3t@cam"}], "boot": "b1"}')
        _, errors = process.communicate(timeout=60)
    gate.close()
    assert process.returncode == 2
    assert "list of cameras" in errors
    assert "s3cr3t" not in errors
