"""Clips written here, and the real ones beside the project."""

import io
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.replay import Unreplayable, frames, replay
from edge.settings import EdgeSettings
from models.wire import events
from models.wire.seal import key_id, unseal

START = datetime(2021, 9, 21, 6, tzinfo=UTC)
AN = "012345678901|NGUYEN VAN AN|1990-05-17|0|123456789012345678|1"
CENTRE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]


def box(
    watch: str, *, zones: Iterable[dict[str, Any]] = (), central: bytes | None = None, **camera: Any
) -> EdgeSettings:
    cameras = [{"id": "cam-1", "source": "unused", "watch": watch, "zones": list(zones), **camera}]
    return EdgeSettings.model_validate(
        {
            "site": "cp-014",
            "edge": "edge-01",
            "cameras": cameras,
            "central": central
            and {
                "broker": "mqtt://localhost:1883",
                "http": "http://localhost:8000",
                "seal_key": urlsafe_b64encode(central).decode(),
            },
        }
    )


@pytest.fixture(scope="module")
def lane_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of an empty lane, then two with a pass in it; MPEG-4 in AVI."""
    out = io.BytesIO()
    segno.make_qr(AN, error="m").save(out, kind="png", scale=4)
    code = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert code is not None
    path = tmp_path_factory.mktemp("clips") / "lane.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 480, "yuv420p", 4_000_000
        for i in range(40):
            picture = np.full((480, 640, 3), 110, np.uint8)
            if i >= 20:
                picture[100 : 100 + code.shape[0], 200 : 200 + code.shape[1]] = code
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


def test_a_pass_in_a_clip_is_one_event_at_its_stream_time(lane_clip: Path) -> None:
    (line,) = replay(lane_clip, box("checkpoint"), None, START)
    event = events.read(events.open_envelope(line))
    assert (event.site, event.edge, event.camera, event.clock) == ("cp-014", "edge-01", "cam-1", "synced")
    assert event.sequence == 1
    assert 1.8 <= (event.time - START).total_seconds() <= 2.3
    assert isinstance(event.data, events.PassScanned)
    assert event.data.kind == "personal"
    assert event.data.local.reasons[0] == "no_registry"


def test_a_clip_replayed_twice_gives_the_same_bytes(lane_clip: Path) -> None:
    assert list(replay(lane_clip, box("checkpoint"), None, START)) == list(
        replay(lane_clip, box("checkpoint"), "cam-1", START)
    )


def test_another_configuration_is_another_epoch(lane_clip: Path) -> None:
    (one,) = replay(lane_clip, box("checkpoint"), None, START)
    (other,) = replay(lane_clip, box("checkpoint", hold_seconds=11.0), None, START)
    assert json.loads(one)["epoch"] != json.loads(other)["epoch"]
    assert json.loads(one)["id"] != json.loads(other)["id"]


def test_nothing_in_the_event_names_the_holder_but_central_can_open_it(lane_clip: Path) -> None:
    central = X25519PrivateKey.generate()
    public = central.public_key().public_bytes_raw()
    (line,) = replay(lane_clip, box("checkpoint", central=public), None, START)
    assert b"NGUYEN" not in line
    assert b"012345678901" not in line
    data = json.loads(line)["data"]
    identity = unseal(data["sealed"], {key_id(public): central})
    assert identity.name == "NGUYEN VAN AN"


def test_stream_time_begins_at_nought_and_never_goes_back(lane_clip: Path) -> None:
    times = [frame.stream_s for frame in frames(lane_clip, "cam-1", START)]
    assert len(times) == 40
    assert times[0] == 0.0
    assert times == sorted(times)
    assert times[-1] == pytest.approx(3.9, abs=0.11)


def test_a_frame_has_luma_and_colour_of_one_size(lane_clip: Path) -> None:
    frame = next(frames(lane_clip, "cam-1", START))
    assert frame.y.shape == (480, 640)
    assert frame.bgr().shape == (480, 640, 3)


@pytest.mark.parametrize("content", [b"", b"no clip at all"])
def test_a_file_that_is_no_clip_says_so(tmp_path: Path, content: bytes) -> None:
    clip = tmp_path / "notes.mp4"
    clip.write_bytes(content)
    with pytest.raises(Unreplayable, match="cannot be opened as video"):
        list(replay(clip, box("checkpoint"), None, START))


def test_a_missing_clip_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreplayable, match="cannot be read"):
        list(replay(tmp_path / "absent.mp4", box("checkpoint"), None, START))


def test_an_unknown_camera_is_answered_with_those_there_are(lane_clip: Path) -> None:
    with pytest.raises(Unreplayable, match="--camera with one of cam-1"):
        list(replay(lane_clip, box("checkpoint"), "cam-9", START))


@pytest.mark.data
def test_breaches_on_pets_repeat_byte_for_byte_and_are_mostly_right(shared_data: Path) -> None:
    clip = shared_data / "tracking" / "pets09_s2l1_001_400.mp4"
    settings = box("quarantine", zones=[{"id": "yard", "kind": "stay-inside", "polygon": CENTRE}], person_px=[60, 110])
    told = list(replay(clip, settings, None, START))
    assert told == list(replay(clip, settings, None, START))
    exits = _exits(shared_data / "tracking" / "pets09_s2l1_001_400.gt.txt")
    hits = set()
    opened = [data for line in told if (data := json.loads(line)["data"])["phase"] == "open"]
    for data in opened:
        x, y = data["foot"][0] * 768, data["foot"][1] * 576
        hits |= {
            one for one in exits if abs(one[0] - data["left_at"]) <= 1.0 and np.hypot(one[1] - x, one[2] - y) <= 70
        }
    assert len(exits) == 11
    assert len(hits) / len(opened) >= 0.9
    assert len(hits) / len(exits) >= 0.9


def _exits(truth: Path) -> list[tuple[float, float, float]]:
    """(second, x, y) of everybody who was four pictures in the centre and then three outside of it."""
    paths: dict[str, list[tuple[int, float, float]]] = {}
    for row in truth.read_text().splitlines():
        number, name, left, top, width, height = row.split(",")[:6]
        foot = float(left) + float(width) / 2, float(top) + float(height)
        paths.setdefault(name, []).append((int(number), *foot))
    exits = []
    for path in paths.values():
        inside, outside, armed, crossed = 0, 0, False, (0.0, 0.0, 0.0)
        for picture, x, y in sorted(path):
            if 192 <= x <= 576 and 144 <= y <= 432:
                inside, outside = inside + 1, 0
                armed = armed or inside >= 4
                continue
            crossed = ((picture - 1) / 7, x, y) if outside == 0 else crossed
            inside, outside = 0, outside + 1
            if armed and outside == 3:
                exits.append(crossed)
                armed = False
    return exits


@pytest.mark.data
@pytest.mark.parametrize("watch", ["traffic", "checkpoint"])
def test_real_clips_of_every_container_replay(shared_data: Path, watch: str) -> None:
    for name in ("plaza_crowd.avi", "car-detection.mp4"):
        told = list(replay(shared_data / "video" / name, box(watch), None, START))
        assert bool(told) == (watch == "traffic")
