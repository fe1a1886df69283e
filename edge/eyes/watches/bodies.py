"""Where the bodies of one camera are: by a detector when one is configured, else by what moves."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.eyes.frame import Frame
from edge.settings import Camera
from models.vision.detector import Detector
from models.vision.motion import Motion, Size
from models.vision.tracker import Track, Tracker
from models.vision.zones import signed_distance

Floats = NDArray[np.float64]
_PERSON = 0


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
    return None if camera.detector in {"auto", "motion"} else Detector(Path(camera.detector), least_score=0.2)


class Bodies:
    """Tracks of one camera's people (or of all that moves), at most `LOOKS` pictures a second."""

    MOTION_LOOKS = 12.5
    DETECTOR_LOOKS = 6.25

    def __init__(self, camera: Camera, detector: Detector | None, *, split: bool) -> None:
        far, near = sorted(camera.person_px)
        self._camera = camera
        self._detector = detector
        self._motion = Motion(Size(far_px=far, near_px=near), split=split)
        self._tracker = Tracker()
        self._every_s = 0.9 / (self.DETECTOR_LOOKS if detector else self.MOTION_LOOKS)
        self._next_s = float("-inf")

    def see(self, frame: Frame) -> list[Track] | None:
        """The tracks, or None when it is too early for another look."""
        if frame.stream_s < self._next_s:
            return None
        self._next_s = frame.stream_s + self._every_s
        if self._detector:
            found = self._detector.detect(frame.bgr())
            people = found.classes == _PERSON
            boxes, scores = found.boxes[people], found.scores[people]
        else:
            boxes = self._motion.see(frame.y, frame.stream_s)
            scores = np.ones(len(boxes))
        kept = outside_ignored(self._camera, boxes, *frame.y.shape)
        return self._tracker.update(boxes[kept], scores[kept], frame.stream_s)
