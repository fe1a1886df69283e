"""The benchmark's own counting."""

from pathlib import Path

import cv2
import numpy as np

from models.vision.qr import Pixels
from scripts.bench import reading
from scripts.bench.simulator import Sight, Stage


def test_every_reader_sees_every_picture() -> None:
    scores, seen = reading.alone(Stage(3, None).crops(4))
    assert set(scores) == {"", "_zxing", "_pyzbar", "_opencv"}
    assert all(len(score.hits) == len(score.ms) == len(seen) == 4 for score in scores.values())


def test_a_picture_without_a_code_counts_what_is_read_in_it() -> None:
    scores, _ = reading.alone(Stage(3, None).empty(2, (560, 560)))
    assert [score.recall for score in scores.values()] == [0.0] * 4


def test_who_spends_more_than_a_frame_has_misses_frames() -> None:
    def slow(y: Pixels) -> list[bytes]:
        return [cv2.GaussianBlur(y, (0, 0), 5.0).tobytes()[:1] for _ in range(60)]

    sight = Sight(np.zeros((1080, 1920), np.uint8), None, (), None)
    one = reading._Watching(slow)
    seen = [one.see(number, sight) is not None for number in range(4)]
    assert seen[0]
    assert not any(seen[1:])


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    scores, seen = reading.alone(Stage(3, None).crops(12))
    reading.plot(tmp_path / "plot.png", seen, scores)
    assert cv2.imread(str(tmp_path / "plot.png")) is not None
