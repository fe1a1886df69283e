"""A box at a checkpoint without a network, from a film of its camera to both of its screens: real processes."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray

from scripts.bench.simulator import Condition, Held, Stage

pytestmark = pytest.mark.flow

ROOT = Path(__file__).resolve().parents[2]
RATE = 10
KEY = "SB_1DKUrrepwMXHKjIk0K9m4frWIORZgVUl87LMKxUE"  # nobody has the private half
CONFIG = """\
site: cp-014
edge: edge-01
data: {folder}/data
central: {{broker: "mqtt://127.0.0.1:{port}", http: "http://127.0.0.1:{port}", seal_key: {key}}}
screen: {{port: 0}}
cameras:
  - {{id: cam-1, source: {folder}/lane.mp4, watch: checkpoint, stop: vehicle}}
"""


def film(path: Path, stage: Stage) -> None:
    """A code too far away to be read, then two people of one vehicle, then nobody: again and again."""
    codes: tuple[Held, ...] = stage.held("cccd"), stage.held("personal")
    blurred = stage.show(codes[0], (300, 300), 58.0, Condition(motion_px=2.0)).picture
    clear = [stage.show(code, (300, 300), 180.0, Condition()).picture for code in codes]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        video.options = {"preset": "ultrafast", "bf": "0", "g": "5", "crf": "12", "threads": "1"}
        shown: list[NDArray[np.uint8] | None] = [blurred] * 30 + [clear[0]] * 12 + [clear[1]] * 12 + [None] * 8
        for i, sight in enumerate(shown):
            y = np.full((480, 640), 110, np.uint8)
            if sight is not None:
                y[360:, 60:560] = 30  # the vehicle
                top, left = 20 + 3 * (i % 2), 100 + 3 * (i // 2 % 2)
                y[top : top + 300, left : left + 300] = sight
            for packet in video.encode(av.VideoFrame.from_ndarray(y, format="gray").reformat(format="yuv420p")):
                container.mux(packet)
        container.mux(video.encode(None))


@pytest.fixture
def page(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[str], str]]:
    """What the box answers under a path."""
    film(tmp_path / "lane.mp4", Stage(5, None))
    config = tmp_path / "box.yaml"
    config.write_text(CONFIG.format(folder=tmp_path, port=free_port(), key=KEY))
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "edge", "run", str(config)]
        gate = subprocess.Popen(command, cwd=ROOT, stderr=stderr, stdout=subprocess.DEVNULL)
    try:
        address = tmp_path / "data" / "screen.url"
        until(lambda: address.exists() and address.read_text().strip())

        def get(path: str) -> str:
            with urlopen(address.read_text().strip().rstrip("/") + path, timeout=10) as answer:
                return str(answer.read().decode())

        yield get
        assert "Traceback" not in log.read_text()
    finally:
        gate.terminate()
        gate.wait(20)


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.05)


def test_who_is_too_far_away_is_told_and_a_vehicles_people_get_one_answer(page: Callable[[str], str]) -> None:
    until(lambda: 'data-advice="closer"' in page("/holder"))
    until(lambda: 'data-state="verdict"' in page("/"))
    until(lambda: 'data-state="told"' in page("/holder"))
    until(lambda: "Xe này: 2 người" in page("/"))
    officer = page("/")
    assert 'data-outcome="CHECK"' in officer, "without central and a registry nobody is let through, nobody is stopped"
    assert 'data-by="edge"' in officer
    assert "/crop/" in officer
    assert "KIỂM TRA" not in page("/holder")
    assert 'id="line" class="lamp bad"' in officer
