import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.doctor import Found, advise, bundle, examine, lines
from edge.settings import Camera, EdgeSettings
from models.view import findings
from scripts.city.rtsp import RtspServer
from tests.clips import render

CAMERA = Camera(id="cam-1", source="rtsp://u:s3cr3t@cam/a", watch="quarantine", person_px=(60, 110))
GOOD = Found(
    camera="cam-1",
    state="live",
    reason="pictures",
    codec="h264",
    width=1280,
    height=720,
    fps=15.0,
    keys_apart_s=2.0,
    brightness=110,
    contrast=40,
    look_ms=5.0,
)


def test_a_camera_that_is_set_well_needs_no_advice() -> None:
    assert advise(GOOD, CAMERA) == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (Found(camera="cam-1", state="unauthorised", reason="password"), "password"),
        (replace(GOOD, reorders=True), "B-frames"),
        (replace(GOOD, keys_apart_s=10.0), "key frame interval"),
        (replace(GOOD, keys_apart_s=None), "key frame interval"),
        (replace(GOOD, fps=2.0), "pictures a second"),
        (replace(GOOD, height=2160), "small stream"),
        (replace(GOOD, height=100), "taller than the picture"),
        (replace(GOOD, brightness=12), "light"),
        (replace(GOOD, brightness=240), "exposure"),
        (replace(GOOD, contrast=3), "focus"),
        (replace(GOOD, corrupt=9), "cable"),
        (replace(GOOD, look_ms=90.0), "cannot keep up"),
        (replace(GOOD, clock_s=-7200.0), "-7200 s off"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(found: Found, word: str) -> None:
    given = [asdict(one) for one in advise(found, CAMERA)]
    english, vietnamese = findings.advice("en", given), findings.advice("vi", given)
    assert any(word in one for one in english)
    assert all(one != other for one, other in zip(english, vietnamese, strict=True))


def test_a_real_stream_is_described_and_bundled_without_secrets(tmp_path: Path) -> None:
    server = RtspServer(user="admin", password="s3cr3t")
    server.add("cam", render(tmp_path / "clip.mp4", size=(320, 240)))
    server.clock_ahead_s = 3600.0
    server.start()
    camera = Camera(id="cam-1", source=server.url("cam").replace("//", "//admin:s3cr3t@"), watch="quarantine")
    found, frame = examine(camera, seconds=2.0)
    assert frame is not None
    assert (found.codec, found.width, found.height, found.reorders) == ("h264", 320, 240, False)
    assert found.keys_apart_s == pytest.approx(0.5, abs=0.2)
    assert found.clock_s == pytest.approx(3600, abs=3)
    assert found.fps == pytest.approx(10, abs=2)
    assert "h264 320x240" in "\n".join(lines(found, camera))
    path = tmp_path / "bundle.tar.gz"
    (tmp_path / "edge.log").write_text("camera cam-1 at rtsp://admin:s3cr3t@cam/a: live\n")
    bundle(EdgeSettings(site="s", edge="e", data=str(tmp_path), cameras=(camera,)), path)
    server.stop()
    with tarfile.open(path) as tar:
        contents = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    assert sorted(contents) == ["cam-1.jpg", "config.json", "data.txt", "doctor.txt", "edge.log", "state.txt"]
    assert b"does not run" in contents["state.txt"]
    assert contents["edge.log"] == b"camera cam-1 at rtsp://cam/\xe2\x80\xa6 live\n"
    assert not any(b"s3cr3t" in content or b"admin" in content for content in contents.values())
    still = cv2.imdecode(np.frombuffer(contents["cam-1.jpg"], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert still is not None
    assert cv2.Laplacian(still, cv2.CV_64F).var() < 200


def test_a_camera_that_refuses_is_said_so() -> None:
    found, frame = examine(CAMERA.model_copy(update={"source": "rtsp://127.0.0.1:9/cam"}))
    assert frame is None
    assert "nobody listens" in "\n".join(lines(found, CAMERA))
