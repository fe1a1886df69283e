"""A picture looked at whole and, where its bodies are small, once more in tiles; each body is told once."""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.vision.detector import Detections

SMALL_PX = 32.0
"""A body that is lower than this in the net's input is missed more often than not."""
GRID = 2
OVERLAP = 1.2
"""A tile is this much larger than its share, so that a body cut by one tile's edge is whole in the next."""
EDGE_PX = 3.0
"""A box that ends this close to a tile's inner edge is cut by it."""
SAME = 0.5
"""Two boxes of a class that share this much of their union are one body …"""
PART = 0.7
"""… as are two of which one lies this much within the other: a head that a tile saw of the body that another saw."""


class Sees(Protocol):
    """A detector: ours, or a benchmark's."""

    @property
    def input_px(self) -> int:
        """The longer side of what it looks at; a picture is shrunk to it."""

    def detect(self, bgr: NDArray[np.uint8], *, person_px: float | None = None) -> Detections: ...


def look(detector: Sees, bgr: NDArray[np.uint8], *, far_px: float, near_px: float) -> Detections:
    """What is in one colour picture whose people are so tall: one detection, or five where the farthest are small."""
    usual_px = math.sqrt(far_px * near_px)
    whole = detector.detect(bgr, person_px=usual_px)
    height, width = bgr.shape[:2]
    if far_px * min(1.0, detector.input_px / max(height, width)) >= SMALL_PX:
        return whole
    seen = [whole]
    tall, wide = round(height / GRID * OVERLAP), round(width / GRID * OVERLAP)
    for top in np.linspace(0, height - tall, GRID).astype(int).tolist():
        for left in np.linspace(0, width - wide, GRID).astype(int).tolist():
            place = np.array([left, top, left + wide, top + tall], np.float64)
            tile = detector.detect(np.ascontiguousarray(bgr[top : top + tall, left : left + wide]), person_px=usual_px)
            seen.append(_uncut(tile, place, np.array([0, 0, width, height], np.float64)))
    return _once(
        Detections(
            boxes=np.concatenate([one.boxes for one in seen]),
            scores=np.concatenate([one.scores for one in seen]),
            classes=np.concatenate([one.classes for one in seen]),
        )
    )


def _uncut(tile: Detections, place: NDArray[np.float64], picture: NDArray[np.float64]) -> Detections:
    """The tile's boxes in the picture's pixels, without those that an inner edge of the tile cuts."""
    boxes = tile.boxes + place[[0, 1, 0, 1]]
    kept = np.all((np.abs(boxes - place) >= EDGE_PX) | (place == picture), axis=1)
    return Detections(boxes=boxes[kept], scores=tile.scores[kept], classes=tile.classes[kept])


def _once(found: Detections) -> Detections:
    """The best box of each body, best first."""
    order = np.argsort(-found.scores, kind="stable")
    boxes, classes = found.boxes[order], found.classes[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    free = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if not free[i]:
            continue
        kept.append(i)
        size = np.minimum(boxes[i, 2:], boxes[:, 2:]) - np.maximum(boxes[i, :2], boxes[:, :2])
        shared = np.prod(np.maximum(size, 0.0), axis=1)
        union = np.maximum(area[i] + area - shared, 1e-9)
        smaller = np.maximum(np.minimum(area[i], area), 1e-9)
        free &= (classes != classes[i]) | ((shared / union <= SAME) & (shared / smaller <= PART))
    best = order[kept]
    return Detections(boxes=found.boxes[best], scores=found.scores[best], classes=found.classes[best])
