import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.vision.detector import NO_GRID, Detector, Family, Floats32, Grid, Unusable, card_of, cards, decode, named

MODELS = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "models"
FAMILIES: dict[str, Family] = {
    "yolox_nano.onnx": "yolox",
    "picodet_s_416_coco.onnx": "gfl",
    "nanodet_m.onnx": "gfl",
}


def model(name: str) -> Path:
    path = MODELS / name
    if not path.is_file():
        pytest.skip(f"NO DEVELOPMENT DATA: {os.path.normpath(path)} is absent")
    return path


def street() -> NDArray[np.uint8]:
    clip = cv2.VideoCapture(str(model("../tracking/pets09_s2l1_001_400.mp4")))
    return np.asarray(clip.read()[1], np.uint8)


def test_a_missing_file_says_what_to_do() -> None:
    with pytest.raises(Unusable, match="no such model file; give the path"):
        Detector(Path("absent.onnx"))


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(Unusable, match="cannot load it"):
        Detector(path)


def outputs(family: Family) -> tuple[list[Floats32], Grid]:
    """What a net of 64x64 says of one person at (16, 8, 32, 48), sure to .8, and of a car hardly seen."""
    if family == "end-to-end":
        return [np.array([[[16, 8, 32, 48, 0.8, 0], [0, 0, 9, 9, 0.05, 2]]], np.float32)], NO_GRID
    if family == "yolov8":
        raw = np.zeros((1, 7, 84), np.float32)
        raw[0, :, 40] = (24, 28, 16, 40, 0.8, 0, 0.1)
        raw[0, 6, 9] = 0.05
        return [raw], NO_GRID
    if family == "yolox":
        raw = np.zeros((1, 84, 8), np.float32)
        raw[0, 3 * 8 + 3] = (0.0, 0.5, np.log(2), np.log(5), 1.0, 0.8, 0, 0.1)
        raw[0, 5] = (0, 0, 0, 0, 0.5, 0, 0, 0.1)
        return [raw], Grid.of(64, 64, (8, 16, 32), ceil=False)
    scores = [np.zeros((1, n, 3), np.float32) for n in (64, 16, 4, 1)]
    bins = [np.zeros((1, n, 32), np.float32) for n in (64, 16, 4, 1)]
    scores[0][0, 3 * 8 + 2] = (0.8, 0, 0.1)
    for side, strides in enumerate((0.5, 2.5, 1.5, 2.5)):  # from the cell's middle, (20, 28)
        low = int(strides)
        bins[0][0, 3 * 8 + 2, side * 8 + low : side * 8 + low + 2] = 30.0
    return [*scores, *bins], Grid.of(64, 64, (8, 16, 32, 64), ceil=True)


@pytest.mark.parametrize("family", ["yolox", "gfl", "yolov8", "end-to-end"])
def test_every_family_says_the_same_of_one_person(family: Family) -> None:
    boxes, scores, classes = decode(family, *outputs(family), 0.25)
    assert boxes == pytest.approx(np.array([[16, 8, 32, 48]]), abs=0.01)
    assert scores == pytest.approx([0.8])
    assert classes.tolist() == [0]


@pytest.mark.parametrize("family", ["yolox", "gfl", "yolov8", "end-to-end"])
def test_nothing_sure_is_nothing_found(family: Family) -> None:
    boxes, scores, classes = decode(family, *outputs(family), 0.9)
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_a_name_without_its_weights_says_how_to_fetch_them() -> None:
    absent = next((name for name in cards() if not (Path("models/vision/weights") / f"{name}.onnx").is_file()), None)
    if absent is None:
        pytest.skip("every card's weights were fetched here")
    with pytest.raises(Unusable, match=f"scripts/weights get {absent}"):
        named(absent)


def test_motion_needs_no_weights_and_a_path_is_taken_as_it_is() -> None:
    assert named("motion") is None
    assert named("own/model.onnx") == Path("own/model.onnx")


def test_a_card_of_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights")
    path.with_suffix(".json").write_text(json.dumps({"family": "yolox", "sha256": ["0" * 64]}))
    with pytest.raises(Unusable, match="is not the file that model"):
        card_of(path)


@pytest.mark.data
def test_an_unknown_family_is_refused_with_what_was_expected() -> None:
    with pytest.raises(Unusable, match="of no known family"):
        Detector(model("FastestDet.onnx"))


@pytest.mark.data
@pytest.mark.parametrize("name", FAMILIES)
def test_people_of_a_real_picture_are_found_inside_of_it(name: str) -> None:
    detector = Detector(model(name))
    picture = street()
    found = detector.detect(picture)
    people = found.boxes[(found.classes == 0) & (found.scores > 0.4)]
    assert detector.family == FAMILIES[name]
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


def test_our_own_weights_are_there_and_are_the_ones_of_their_card() -> None:
    path = named("auto")
    assert path is not None
    assert path.stem == "person-fixed"
    assert card_of(path) == cards()["person-fixed"]
    assert path.stat().st_size <= 5_000_000


@pytest.mark.data
def test_our_own_weights_find_people_they_have_never_seen() -> None:
    path = named("auto")
    assert path is not None
    found = Detector(path).detect(street(), person_px=81.0)
    sure = found.boxes[found.scores >= 0.4]
    assert 3 <= len(sure) <= 8
    assert 55 < np.median(sure[:, 3] - sure[:, 1]) < 110
