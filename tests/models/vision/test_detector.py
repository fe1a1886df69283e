import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.vision.detector import Detector, Unusable

MODELS = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "models"


def model(name: str) -> Path:
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"NO DEVELOPMENT DATA: {os.path.normpath(path)} is absent")
    return path


def test_a_missing_file_says_what_to_do() -> None:
    with pytest.raises(Unusable, match="no such model file; give the path"):
        Detector(Path("absent.onnx"))


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(Unusable, match="cannot load it"):
        Detector(path)


@pytest.mark.data
def test_another_family_is_refused_with_what_was_expected() -> None:
    with pytest.raises(Unusable, match="YOLOX"):
        Detector(model("picodet_s_416_coco.onnx"))


@pytest.mark.data
def test_people_of_a_real_picture_are_found_inside_of_it() -> None:
    detector = Detector(model("yolox_nano.onnx"))
    clip = cv2.VideoCapture(str(MODELS.parent / "tracking" / "pets09_s2l1_001_400.mp4"))
    picture = np.asarray(clip.read()[1], np.uint8)
    found = detector.detect(picture)
    people = found.boxes[(found.classes == 0) & (found.scores > 0.4)]
    assert 3 <= len(people) <= 8
    heights = people[:, 3] - people[:, 1]
    assert 55 < np.median(heights) < 110
    assert found.boxes.min() >= 0.0
    assert found.boxes[:, 2].max() <= picture.shape[1]
    assert list(found.scores) == sorted(found.scores, reverse=True)


@pytest.mark.data
def test_an_empty_picture_has_nothing_in_it() -> None:
    found = Detector(model("yolox_nano.onnx"), least_score=0.3).detect(np.full((300, 500, 3), 127, np.uint8))
    assert len(found.boxes) == len(found.scores) == len(found.classes) == 0
