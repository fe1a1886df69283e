"""Where the bodies of one camera are: by a detector when one is configured, else by what moves."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.eyes.frame import Frame
from edge.settings import Camera
from models.vision.detector import PERSON, Detector, named
from models.vision.motion import Motion, Size
from models.vision.tracker import Track, Tracker
from models.vision.zones import signed_distance

Floats = NDArray[np.float64]


def feet(boxes: Floats) -> Floats:
    """The middle of each box's lower edge."""
    return np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]])


def outside_ignored(camera: Camera, boxes: Floats, height: int, width: int) -> NDArray[np.bool_]:
    """Which boxes stand outside of the camera's `ignore` zones."""
    kept = np.ones(len(boxes), np.bool_)
    for zone in camera.zones:
        if zone.kind == "ignore" and len(boxes):
            kept &= signed_distance(np.array(zone.polygon) * (width, height), feet(boxes)) < 0.0
    return kept


def detector_of(camera: Camera) -> Detector | None:
    """None where the camera goes by motion. Raises models.vision.detector.Unusable."""
    path = named(camera.detector)
    return _shared(path) if path else None


@lru_cache
def _shared(path: Path) -> Detector:
    """One session for all cameras of a process."""
    return Detector(path, least_score=0.1)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture's bodies."""

    boxes: Floats
    scores: Floats
    tracks: list[Track]


class Bodies:
    """Tracks of one camera's people (or of all that moves), at most `LOOKS` pictures a second."""

    MOTION_LOOKS = 12.5
    DETECTOR_LOOKS = 8.0

    def __init__(self, camera: Camera, detector: Detector | None, *, split: bool, every: bool = False) -> None:
        """`every`: look at each picture, whatever it costs."""
        far, near = sorted(camera.person_px)
        self._camera = camera
        self._tall = math.sqrt(far * near)
        self._detector = detector
        self._motion = Motion(Size(far_px=far, near_px=near), split=split)
        self._tracker = Tracker()
        self._every_s = 0.0 if every else 0.9 / (self.DETECTOR_LOOKS if detector else self.MOTION_LOOKS)
        self._next_s = float("-inf")

    def see(self, frame: Frame) -> Look | None:
        """None when it is too early for another look."""
        if frame.stream_s < self._next_s:
            return None
        self._next_s = frame.stream_s + self._every_s
        if self._detector:
            found = self._detector.detect(frame.bgr(), person_px=self._tall)
            people = found.classes == PERSON
            boxes, scores = found.boxes[people], found.scores[people]
        else:
            boxes = self._motion.see(frame.y, frame.stream_s)
            scores = np.ones(len(boxes))
        kept = outside_ignored(self._camera, boxes, *frame.y.shape)
        boxes, scores = boxes[kept], scores[kept]
        return Look(boxes=boxes, scores=scores, tracks=self._tracker.update(boxes, scores, frame.stream_s))
