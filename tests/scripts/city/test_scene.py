import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import zxingcpp

from scripts.city import people, scene


def test_the_number_burned_into_a_picture_reads_back_at_every_size() -> None:
    for width, height in ((1280, 720), (640, 360)):
        for number in (0, 1, 179, 2730, 4095):
            picture = np.full((height, width, 3), 90, np.uint8)
            scene.stamp(picture, number)
            assert scene.read_number(picture[:, :, 0]) == number


def test_a_picture_without_the_strip_has_no_number() -> None:
    with pytest.raises(ValueError, match="no frame number"):
        scene.read_number(np.full((720, 1280), 90, np.uint8))


def test_every_window_of_the_gate_shows_its_code_and_nothing_shows_it_outside(tmp_path: Path) -> None:
    path = scene.clip("checkpoint", tmp_path)
    windows = scene.windows(path)
    assert [window.outcome for window in windows] == ["PASS", "FAIL", "CHECK"]
    assert [window.text for window in windows] == [role.text for role in people.CAST]
    assert [window.last - window.first > 1.4 * scene.FPS for window in windows] == [True] * 3
    gaps = [after.first - before.last for before, after in pairwise(windows)]
    assert min(gaps) > 1.2 * scene.FPS
    seen: dict[str, list[int]] = {window.text: [] for window in windows}
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            y = frame.to_ndarray(format="gray")
            assert scene.read_number(y) == index
            for code in zxingcpp.read_barcodes(y):
                seen[code.text].append(index)
    for window in windows:
        # a reader may still guess a code whose quiet zone has just begun to leave
        assert window.first - 1 <= min(seen[window.text])
        assert max(seen[window.text]) <= window.last + 2
        assert len(seen[window.text]) > 0.9 * (window.last - window.first)


def test_a_clip_is_drawn_once(tmp_path: Path) -> None:
    first = scene.clip("checkpoint", tmp_path, width=320)
    drawn_at = first.stat().st_mtime_ns
    assert scene.clip("checkpoint", tmp_path, width=320) == first
    assert first.stat().st_mtime_ns == drawn_at
    told = json.loads(first.with_suffix(".json").read_text(encoding="utf-8"))
    assert told["frames"] == scene.SECONDS["checkpoint"] * scene.FPS
    assert {path.suffix for path in first.parent.iterdir()} == {".mp4", ".json"}
