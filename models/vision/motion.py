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
NOBODY: Boxes = np.zeros((0, 4))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How tall a body is at the far and at the near edge of the picture, pixels of the full picture."""

    far_px: float
    near_px: float


@dataclass(frozen=True, kw_only=True)
class Moving:
    """Bodies that differ from the background, and how much of each box is filled with what differs, 0..1."""

    boxes: Boxes
    scores: NDArray[np.float64]


NOTHING = Moving(boxes=NOBODY, scores=np.zeros(0))


class Motion:
    """Feed every picture of one camera in order, in colour (blue trousers are as bright as asphalt) or grey; `see`
    gives the boxes of moving bodies.

    Time constants are seconds of the stream, so that 7 and 25 pictures a second learn the same background.
    `split` cuts a blob that is too wide for one person; off for streets, where a wide blob is a car.
    """

    FAR_PX = 40.0
    """The picture is shrunk until a far body is about this tall: less and legs vanish, more and it only costs."""
    WIDTHS_PX = (320, 640)
    ABSORB_S = 30.0
    """A body that stands still is taken for background after about this long, unless it is `kept`."""
    ABSORBED_WEIGHT = 0.105
    """OpenCV calls a colour background once its weight is beyond 0.1; reached after this many time constants."""
    START_SHARE = 0.3
    """Of the usual 1/n with which the first pictures are learnt: at 1/n, who walks in early is background at once."""
    SHADOW = 127
    UNSETTLED_SHARE = 0.6
    """More foreground than this is a lamp switched, not people: nothing is told until it is learnt."""
    LIT_LIKENESS = 0.9
    """What differs but has the background's own pattern is the ground in another light."""
    CALM_S = 5.0
    MOST_BOXES = 100

    def __init__(self, size: Size, *, split: bool = True) -> None:
        self._size = size
        self._split = split
        self._model = cv2.createBackgroundSubtractorMOG2(history=500, varThreshold=20, detectShadows=True)
        self._calm: NDArray[np.float32] | None = None
        self._at: float | None = None
        self._seen = 0

    def see(self, picture: Pixels, stream_s: float, *, kept: Boxes = NOBODY) -> Moving:
        """`kept`: where somebody stands who shall not become background."""
        width = picture.shape[1]
        low, high = self.WIDTHS_PX
        scale = min(1.0, max(min(self.FAR_PX / self._size.far_px, high / width), low / width))
        small = np.ascontiguousarray(
            picture if scale == 1.0 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
            np.uint8,
        )
        passed = 0.04 if self._at is None else max(stream_s - self._at, 0.0)
        self._at = stream_s
        mask = self._learn(small, self._rate(passed), kept * scale)
        solid = np.where(mask > self.SHADOW, np.uint8(255), np.uint8(0))
        grey = small if small.ndim == 2 else np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
        calm = self._background(grey, solid, passed)
        if self._seen < 3:
            return NOTHING
        if cv2.countNonZero(solid) > self.UNSETTLED_SHARE * solid.size:
            self._seen = 0  # learn anew, as fast as at the start
            return NOTHING
        return self._bodies(solid, grey, calm, scale)

    def _rate(self, passed: float) -> float:
        self._seen += 1
        if self._seen == 1:
            return 1.0
        return max(self.START_SHARE / self._seen, -math.expm1(-passed * self.ABSORBED_WEIGHT / self.ABSORB_S))

    def _learn(self, small: Pixels, rate: float, kept: Boxes) -> Pixels:
        """What differs. Where somebody is kept, the model is shown its own background again."""
        if not len(kept) or self._seen < 2:
            return np.asarray(self._model.apply(small, learningRate=rate), np.uint8)
        mask = np.asarray(self._model.apply(small, learningRate=0.0), np.uint8)
        ground, shown = self._model.getBackgroundImage(), small.copy()
        for left, top, right, bottom in kept.round().astype(int).clip(0).tolist():
            shown[top:bottom, left:right] = ground[top:bottom, left:right]
        self._model.apply(shown, learningRate=rate)
        return mask

    def _background(self, grey: Pixels, solid: Pixels, passed: float) -> NDArray[np.float32]:
        """The mean picture of what does not differ."""
        if self._calm is None or self._calm.shape != grey.shape or self._seen < 3:
            self._calm = grey.astype(np.float32)
        else:
            cv2.accumulateWeighted(grey, self._calm, -math.expm1(-passed / self.CALM_S), mask=cv2.bitwise_not(solid))
        return self._calm

    def _bodies(self, solid: Pixels, grey: Pixels, calm: NDArray[np.float32], scale: float) -> Moving:
        far, near = self._size.far_px * scale, self._size.near_px * scale
        opened = np.asarray(cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)
        tall = max(3, round(far * 0.25))  # a belt or a bag cuts a person in two: join upright, not sideways
        joined = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((tall, 1), np.uint8))
        count, names, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        some = np.flatnonzero(stats[:count, 4] >= 0.02 * far * far)[1:]
        some = some[np.argsort(-stats[some, 4], kind="stable")][: self.MOST_BOXES]
        parts = [np.s_[top : top + tall, left : left + wide] for left, top, wide, tall, _ in stats[some].tolist()]
        lit = [
            _lit((names[part] == name) & (opened[part] > 0), grey[part], calm[part])
            for name, part in zip(some.tolist(), parts, strict=True)
        ]
        some = some[~np.array(lit, np.bool_)]
        if not len(some):
            return NOTHING
        boxes = np.column_stack([stats[some, :2], stats[some, :2] + stats[some, 2:4]]).astype(np.float64)
        if self._split:
            boxes = _join(boxes, near)
        size = boxes[:, 2:] - boxes[:, :2]
        boxes = boxes[size[:, 1] >= (0.5 if self._split else 0.25) * far]
        if self._split:
            size = boxes[:, 2:] - boxes[:, :2]
            boxes = _split(boxes[(size[:, 1] <= 2.5 * near) & (size[:, 0] <= 5.0 * near)], near, opened)
        boxes = boxes[: self.MOST_BOXES]
        return Moving(boxes=boxes / scale, scores=_filled(boxes, opened))


def _lit(mine: NDArray[np.bool_], grey: Pixels, calm: NDArray[np.float32]) -> bool:
    """Whether the pixels of a blob are the ground itself, lit otherwise: its pattern is still there."""
    now, before = grey[mine].astype(np.float64), calm[mine].astype(np.float64)
    if len(now) < 30:
        return False
    now -= now.mean()
    before -= before.mean()
    strength = math.sqrt(float((now * now).sum() * (before * before).sum()))
    return strength > 25.0 * len(now) and float((now * before).sum()) > Motion.LIT_LIKENESS * strength


def _join(boxes: Boxes, near: float) -> Boxes:
    """Pieces above each other that together are no taller than a body become one box."""
    pieces = list(boxes)
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


def _split(boxes: Boxes, near: float, solid: Pixels) -> Boxes:
    """A blob wider than one person is several side by side: cut evenly, each part as tall as what is in it."""
    parts: list[tuple[float, float, float, float]] = []
    for left, top, right, bottom in boxes.tolist():
        tall = min(bottom - top, near)
        several = max(1, round((right - left) / (0.42 * tall))) if right - left > 0.65 * tall else 1
        step = (right - left) / several
        for i in range(several):
            a, b = left + i * step, left + (i + 1) * step
            rows = np.flatnonzero(solid[int(top) : int(bottom), int(a) : math.ceil(b)].any(axis=1))
            ends = (top + rows[0], top + rows[-1] + 1.0) if several > 1 and len(rows) else (top, bottom)
            parts.append((a, ends[0], b, ends[1]))
    return np.array(parts, dtype=np.float64).reshape(-1, 4)


def _filled(boxes: Boxes, solid: Pixels) -> NDArray[np.float64]:
    """A body fills half of its box and more; a rag of leaves does not."""
    whole = cv2.integral(solid // 255)
    left, top, right, bottom = boxes.round().astype(int).T
    inside = whole[bottom, right] - whole[top, right] - whole[bottom, left] + whole[top, left]
    share = inside / np.maximum((right - left) * (bottom - top), 1)
    scores: NDArray[np.float64] = np.clip(0.25 + share, 0.0, 1.0)
    return scores
