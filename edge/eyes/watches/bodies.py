"""Where the bodies of one camera are: by a detector when one is configured, else by what moves."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.eyes.frame import Frame
from edge.eyes.seat import Seat, Spent, Stale, Turns
from edge.settings import Camera
from models.vision.detector import PEOPLE, PERSON, TRAFFIC, Detector, named
from models.vision.motion import Motion, Size
from models.vision.tracker import Track, Tracker
from models.vision.zones import signed_distance
from models.wire.events import Box as Region

Floats = NDArray[np.float64]
NONE: tuple[Floats, Floats] = (np.zeros((0, 4)), np.zeros(0))


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


DUE_S = {"traffic": 1.0}
"""How soon a picture wants its answer; where somebody may walk away, before the next look."""
AGAIN_S = {"traffic": 5.0}
"""How long a still picture needs no other answer; where somebody may walk away, a second."""
_turns = Turns()


def detector_of(camera: Camera) -> Seat | None:
    """None where the camera goes by motion. Raises models.vision.detector.Unusable."""
    path = named(camera.detector, TRAFFIC if camera.watch == "traffic" else PEOPLE)
    if path is None:
        return None
    due_s, again_s = DUE_S.get(camera.watch, 1 / Bodies.DETECTOR_LOOKS), AGAIN_S.get(camera.watch, 1.0)
    return Seat(_shared(path), _turns, far_px=min(camera.person_px), due_s=due_s, again_s=again_s)


@lru_cache
def _shared(path: Path) -> Detector:
    """One session for all cameras of a process."""
    return Detector(path, least_score=0.1)


def regions(boxes: Floats, height: int, width: int) -> tuple[Region, ...]:
    """Boxes in pixels as the wire has them: left, top, width, height, 0..1 of the picture."""
    low = np.clip(boxes[:, :2] / (width, height), 0.0, 1.0)
    size = np.clip(boxes[:, 2:] / (width, height), 0.0, 1.0) - low
    rows = np.round(np.concatenate([low, np.maximum(size, 0.0)], axis=1), 4).tolist()
    return tuple((x, y, w, h) for x, y, w, h in rows)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One picture's bodies."""

    boxes: Floats
    scores: Floats
    tracks: list[Track]


class Standing:
    """Who has not gone anywhere for a while: a background model must not swallow them."""

    AFTER_S = 3.0
    MOST_S = 600.0
    """Longer than this nobody stands; a thing that was put down does."""
    STEP_HEIGHTS = 0.5

    def __init__(self) -> None:
        self._since: dict[int, tuple[float, tuple[float, float]]] = {}

    def see(self, tracks: Sequence[Track], stream_s: float) -> Floats:
        """The boxes of those who stand, (n, 4)."""
        known = {}
        for track in tracks:
            since, at = self._since.get(track.id, (stream_s, track.foot))
            if math.dist(at, track.foot) > self.STEP_HEIGHTS * track.height:
                since, at = stream_s, track.foot
            known[track.id] = since, at
        self._since = known
        standing = [t.box for t in tracks if self.AFTER_S <= stream_s - known[t.id][0] <= self.MOST_S]
        return np.array(standing, dtype=np.float64).reshape(-1, 4)


class Bodies:
    """Tracks of one camera's people (or of all that moves), at most `LOOKS` pictures a second."""

    SOLID = 0.75
    """What moves and fills its box like this is somebody even where the detector sees nobody."""
    MOTION_LOOKS = 12.5
    DETECTOR_LOOKS = 8.0

    def __init__(
        self,
        camera: Camera,
        detector: Seat | None,
        *,
        split: bool,
        every: bool = False,
    ) -> None:
        """`every`: look at each picture, whatever it costs."""
        far, near = sorted(camera.person_px)
        self._camera = camera
        self._size, self._split, self._every = Size(far_px=far, near_px=near), split, every
        self._tall = math.sqrt(far * near)
        self._detector = detector
        self._fused = detector is not None and camera.detector == "auto" and split
        self._shape: tuple[int, ...] = ()
        self._crowded = 0
        self.regions: tuple[Region, ...] = ()
        """Who was seen at the last look."""
        self._begin()
        self._every_s = 0.0 if every else 0.9 / (self.DETECTOR_LOOKS if detector else self.MOTION_LOOKS)
        self._next_s = float("-inf")

    def _begin(self) -> None:
        self._motion = Motion(self._size, split=self._split)
        self._tracker = Tracker(sure=self._detector.sure if self._detector else 0.5)
        self._standing = Standing()
        self._kept: Floats = np.zeros((0, 4))

    def go_by(self, camera: Camera) -> bool:
        """Other settings of the same stream; False when they ask for another way of looking."""
        same = sorted(camera.person_px) == sorted(self._camera.person_px) and camera.detector == self._camera.detector
        if same:
            self._camera = camera
        return same

    @property
    def detector(self) -> str:
        return self._detector.name if self._detector else "motion"

    @property
    def counts(self) -> dict[str, int]:
        """As models.wire.events.CameraHealth names them."""
        spent = self._detector.spent if self._detector else Spent()
        return asdict(spent) | {"crowded": self._crowded + self._tracker.refused}

    def see(self, frame: Frame) -> Look | None:
        """None when it is too early for another look, or too late for this one."""
        if frame.stream_s < self._next_s:
            return None
        if frame.y.shape != self._shape:  # a camera that was set to another size: nothing is where it was
            self._shape = frame.y.shape
            self._crowded += self._tracker.refused
            self._begin()
        picture = frame.bgr()
        try:
            boxes, scores = self._found(frame, picture)
        except Stale:
            return None
        self._next_s = frame.stream_s + self._every_s
        if not self._detector or self._fused:
            moving = self._motion.see(picture, frame.stream_s, kept=self._kept)
            unknown = ~_covered(moving.boxes, boxes)
            more = moving.scores[unknown]
            if self._detector:
                more = np.where(more >= self.SOLID, self._detector.sure, 0.5 * self._detector.sure)
            boxes, scores = np.concatenate([boxes, moving.boxes[unknown]]), np.concatenate([scores, more])
        kept = outside_ignored(self._camera, boxes, *frame.y.shape)
        boxes, scores = boxes[kept], scores[kept]
        tracks = self._tracker.update(boxes, scores, frame.stream_s)
        here = np.array([track.box for track in tracks if track.seen], np.float64).reshape(-1, 4)
        self.regions = regions(here, *frame.y.shape)
        if not self._detector or self._fused:
            self._kept = self._standing.see(tracks, frame.stream_s)
        return Look(boxes=boxes, scores=scores, tracks=tracks)

    def _found(self, frame: Frame, picture: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        seat = self._detector
        if seat is None:
            return NONE
        found = seat.look(frame, lambda: seat.detect(picture, person_px=self._tall), always=self._every)
        people = found.classes == PERSON
        return found.boxes[people], found.scores[people]


def _covered(boxes: Floats, found: Floats) -> NDArray[np.bool_]:
    """Which boxes share a fifth of themselves with one that was found: the same body, or a part of it."""
    low = np.maximum(boxes[:, None, :2], found[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], found[None, :, 2:])
    common = np.prod(np.clip(high - low, 0.0, None), axis=2)
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[:, None]
    covered: NDArray[np.bool_] = (common > 0.2 * own).any(axis=1)
    return covered
