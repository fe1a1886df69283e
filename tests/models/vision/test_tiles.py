import cv2
import numpy as np
from numpy.typing import NDArray

from models.vision.detector import Detections
from models.vision.tiles import look


class Blobs:
    """Sees white squares of at least 10 px in a picture shrunk to 100; counts its looks."""

    input_px = 100

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, bgr: NDArray[np.uint8], *, person_px: float | None = None) -> Detections:
        self.looks += 1
        scale = self.input_px / max(bgr.shape[:2])
        small = cv2.resize(bgr[:, :, 0], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        _, _, stats, _ = cv2.connectedComponentsWithStats((small > 127).astype(np.uint8))
        found = np.array([row for row in stats[1:] if min(row[2], row[3]) >= 10], np.float64).reshape(-1, 5)
        boxes = np.column_stack([found[:, :2], found[:, :2] + found[:, 2:4]]) / scale
        return Detections(boxes=boxes, scores=np.ones(len(boxes)), classes=np.zeros(len(boxes), np.int64))


def picture(*squares: tuple[int, int, int]) -> NDArray[np.uint8]:
    drawn = np.zeros((300, 400, 3), np.uint8)
    for left, top, side in squares:
        drawn[top : top + side, left : left + side] = 255
    return drawn


def test_tall_people_are_looked_at_once() -> None:
    blobs = Blobs()
    assert len(look(blobs, picture((50, 50, 60)), far_px=200, near_px=200).boxes) == 1
    assert blobs.looks == 1


def test_what_the_whole_picture_is_too_small_for_is_found_in_a_tile() -> None:
    small = picture((20, 20, 30), (350, 250, 30))
    assert len(Blobs().detect(small).boxes) == 0
    assert len(look(Blobs(), small, far_px=30, near_px=90).boxes) == 2


def test_a_body_seen_whole_and_in_tiles_is_told_once() -> None:
    found = look(
        Blobs(), picture((60, 60, 60), (180, 130, 50)), far_px=30, near_px=90
    )  # the second lies where tiles overlap
    assert len(found.boxes) == 2


def test_a_body_cut_by_every_tile_is_told_once_and_whole() -> None:
    found = look(Blobs(), picture((100, 60, 180)), far_px=30, near_px=90)
    assert np.allclose(found.boxes, [[100, 60, 280, 240]], atol=8)


def test_nothing_is_found_in_an_empty_picture() -> None:
    assert len(look(Blobs(), picture(), far_px=30, near_px=90).boxes) == 0
