"""What moves, without any weights: a background model and boxes of what differs from it."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]
"""(n, 4): left, top, right, bottom in pixels."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How tall a body is at the far and at the near edge of the picture, pixels of the full picture."""

    far_px: float
    near_px: float


class Motion:
    """Feed every picture of one camera in order; `see` gives the boxes of moving bodies.

    Time constants are seconds of the stream, so that 7 and 25 pictures a second learn the same background.
    `split` cuts a blob that is too wide for one person; off for streets, where a wide blob is a car.
    """

    WIDTH_PX = 480
    ABSORB_S = 30.0
    """A body that stands still is taken for background after about this long."""
    ABSORBED_WEIGHT = 0.105
    """OpenCV calls a colour background once its weight is beyond 0.1; reached after this many time constants."""
    START_SHARE = 0.3
    """Of the usual 1/n with which the first pictures are learnt: at 1/n, who walks in early is background at once."""
    SHADOW = 127
    UNSETTLED_SHARE = 0.6
    """More foreground than this is a lamp switched, not people: nothing is told until it is learnt."""
    MOST_BOXES = 100

    def __init__(self, size: Size, *, split: bool = True) -> None:
        self._size = size
        self._split = split
        self._model = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=20, detectShadows=True)
        self._at: float | None = None
        self._seen = 0

    def see(self, y: Pixels, stream_s: float) -> Boxes:
        width = y.shape[1]
        scale = min(1.0, self.WIDTH_PX / width)
        small = y if scale == 1.0 else cv2.resize(y, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        mask = self._model.apply(np.ascontiguousarray(small), learningRate=self._rate(stream_s))
        solid = np.where(mask > self.SHADOW, np.uint8(255), np.uint8(0))
        if self._seen < 3:
            return np.zeros((0, 4))
        if cv2.countNonZero(solid) > self.UNSETTLED_SHARE * solid.size:
            self._seen = 0  # learn anew, as fast as at the start
            return np.zeros((0, 4))
        return self._bodies(solid, scale)

    def _rate(self, stream_s: float) -> float:
        passed = 0.04 if self._at is None else max(stream_s - self._at, 0.0)
        self._at = stream_s
        self._seen += 1
        if self._seen == 1:
            return 1.0
        return max(self.START_SHARE / self._seen, -math.expm1(-passed * self.ABSORBED_WEIGHT / self.ABSORB_S))

    def _bodies(self, solid: Pixels, scale: float) -> Boxes:
        far, near = self._size.far_px * scale, self._size.near_px * scale
        opened = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        tall = max(3, round(far * 0.25))  # a belt or a bag cuts a person in two: join upright, hardly sideways
        joined = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((tall, 3), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        if count <= 1:
            return np.zeros((0, 4))
        found = stats[1:].astype(np.float64)
        found = found[found[:, 4] >= 0.02 * far * far]
        found = found[np.argsort(-found[:, 4], kind="stable")][: self.MOST_BOXES]
        boxes = np.column_stack([found[:, 0], found[:, 1], found[:, 0] + found[:, 2], found[:, 1] + found[:, 3]])
        if self._split:
            boxes = _join(boxes, near)
        tall_enough = boxes[:, 3] - boxes[:, 1] >= (0.5 if self._split else 0.25) * far
        boxes = boxes[tall_enough]
        if self._split:
            boxes = _split(boxes, near)
        bodies: Boxes = boxes[: self.MOST_BOXES] / scale
        return bodies


def _join(boxes: Boxes, near: float) -> Boxes:
    """Pieces above each other that together are no taller than a body become one box."""
    pieces = [box for box in boxes]  # noqa: C416  (rows, not a copy of the array)
    i = 0
    while i < len(pieces):
        j = i + 1
        while j < len(pieces):
            a, b = pieces[i], pieces[j]
            overlap = min(a[2], b[2]) - max(a[0], b[0])
            top, bottom = min(a[1], b[1]), max(a[3], b[3])
            gap = max(a[1], b[1]) - min(a[3], b[3])
            if overlap > 0.5 * min(a[2] - a[0], b[2] - b[0]) and bottom - top <= 1.1 * near and gap < 0.25 * near:
                pieces[i] = np.array([min(a[0], b[0]), top, max(a[2], b[2]), bottom])
                del pieces[j]
                j = i + 1
            else:
                j += 1
        i += 1
    return np.array(pieces).reshape(-1, 4)


def _split(boxes: Boxes, near: float) -> Boxes:
    """A blob wider than a body is tall is several bodies side by side; cut evenly."""
    parts: list[tuple[float, float, float, float]] = []
    for left, top, right, bottom in boxes.tolist():
        tall = min(bottom - top, near)
        several = max(1, round((right - left) / (0.6 * tall))) if right - left > 0.95 * tall else 1
        step = (right - left) / several
        parts += [(left + i * step, top, left + (i + 1) * step, bottom) for i in range(several)]
    return np.array(parts, dtype=np.float64).reshape(-1, 4)
