"""How full a street is: bodies in a polygon, a level that does not flicker, a flow over a line."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from models.vision.tracker import Track
from models.vision.zones import signed_distance, signed_side

Floats = NDArray[np.float64]
Body = Literal["person", "motorbike", "bicycle", "car", "bus", "truck", "unknown"]
COCO: Mapping[int, Body] = {0: "person", 1: "bicycle", 2: "car", 3: "motorbike", 5: "bus", 7: "truck"}
"""The classes of COCO that are counted; everything else in a street is not traffic."""


LEAST_SCORE = 0.2
LEAST_SCORES: Mapping[str, float] = {"gfl": 0.3}
"""A box counts from this score, by the family of its net: GFL's scores of nothing lie higher. What a camera's own view
would have wanted instead, its `scale` makes up for."""


def countable(scores: Floats, family: str) -> NDArray[np.bool_]:
    """Which of a look's boxes count."""
    return scores >= LEAST_SCORES.get(family, LEAST_SCORE)


def fit_scale(pairs: Sequence[tuple[float, float]]) -> float:
    """A camera's one-number calibration from (counted, true) of a few looks: the likeliest when errors are Poisson's.
    One where nothing was counted.
    """
    counted = sum(count for count, _ in pairs)
    return sum(true for _, true in pairs) / counted if counted else 1.0


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The bodies in one zone: the median of the last looks, and the range in which the truth is likely to lie."""

    counts: Mapping[Body, int]
    low: int
    high: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Count:
    """Bodies in one polygon over the last looks, times the camera's one-number calibration."""

    LOOKS = 5
    ENOUGH = 3
    """Looks of which one may be wrong."""
    ERROR_SHARE = 0.25
    """What a count is off on a street: scripts/bench/crowd."""

    def __init__(self, polygon: Floats, *, scale: float = 1.0) -> None:
        self._polygon = polygon
        self._scale = scale
        self._looks: deque[Mapping[Body, int]] = deque(maxlen=self.LOOKS)

    @property
    def sure(self) -> bool:
        """Whether one bad look can no longer decide."""
        return len(self._looks) >= self.ENOUGH

    def see(self, feet: Floats, bodies: Sequence[Body]) -> Crowd:
        """One look: where each body stands (n, 2) and what it is."""
        counts: dict[Body, int] = {}
        if len(bodies):
            for body, distance in zip(bodies, signed_distance(self._polygon, feet).tolist(), strict=True):
                if distance >= 0.0:
                    counts[body] = counts.get(body, 0) + 1
        self._looks.append(counts)
        totals = [round(sum(look.values()) * self._scale) for look in self._looks]
        names = sorted({name for look in self._looks for name in look})
        middle = {name: round(_middle([look.get(name, 0) for look in self._looks]) * self._scale) for name in names}
        counted = {name: count for name, count in middle.items() if count}
        total = sum(counted.values())
        return Crowd(
            counts=counted,
            low=min(*totals, total, math.floor(total * (1.0 - self.ERROR_SHARE))),
            high=max(*totals, total, math.ceil(total * (1.0 + self.ERROR_SHARE))),
        )

    def forget(self) -> None:
        """What was seen before the camera was blind says nothing of what is there after it."""
        self._looks.clear()


def _middle(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


class Level:
    """0..4 by four thresholds. It rises or falls only after `hold_s`, and falls only well below the threshold."""

    FALL_SHARE = 0.8
    CROWDED = 3
    """What a gathering is, however few they are for the street."""

    def __init__(self, *, hold_s: float) -> None:
        self._hold_s = hold_s
        self._level: int | None = None
        self._other_since: float | None = None

    def see(
        self, amount: float, thresholds: Sequence[float], stream_s: float, *, gathering: bool = False
    ) -> tuple[int, int | None] | None:
        """(the new level, what it was before) when it changes; the first look always gives its level.

        `amount` is bodies or bodies per area, as the thresholds are. They may change with the hour.
        """
        wanted = self._wanted(amount, thresholds)
        if gathering:
            wanted = max(wanted, self.CROWDED)
        if self._level is None:
            self._level = wanted
            return wanted, None
        if wanted == self._level:
            self._other_since = None
            return None
        if self._other_since is None:
            self._other_since = stream_s
        if stream_s - self._other_since < self._hold_s:
            return None
        was, self._level, self._other_since = self._level, wanted, None
        return wanted, was

    def _wanted(self, amount: float, thresholds: Sequence[float]) -> int:
        """The level of the amount; a level that is held counts until it is well below its threshold."""
        held = self._level or 0
        return sum(
            amount >= (least * self.FALL_SHARE if level <= held else least)
            for level, least in enumerate(thresholds, start=1)
        )

    def pause(self) -> int | None:
        """Nothing can be said now; what it was before. The next look begins anew."""
        was, self._level, self._other_since = self._level, None, None
        return was


class Gathering:
    """People who stand together, told from those who go by and from a queue of vehicles."""

    STILL_S = 20.0
    STILL_SHARE = 0.6
    """Of the looks of that time in which somebody stood at the same place: a detector misses one in three."""
    SAME_HEIGHTS = 0.4
    TOGETHER_HEIGHTS = 1.2
    """Two metres are this many bodies tall."""
    LOOKS = 32

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Floats]] = deque(maxlen=self.LOOKS)

    def see(self, feet: Floats, heights: Floats, stream_s: float) -> int:
        """One look's pedestrians; how many stand in the largest group."""
        while self._looks and stream_s - self._looks[0][0] > self.STILL_S:
            self._looks.popleft()
        past = list(self._looks)
        self._looks.append((stream_s, feet))
        if not len(feet) or not past or stream_s - past[0][0] < 0.8 * self.STILL_S:
            return 0
        stood = np.mean([_near(feet, there, self.SAME_HEIGHTS * heights) for _, there in past], axis=0)
        still = stood >= self.STILL_SHARE
        return _largest(feet[still], self.TOGETHER_HEIGHTS * heights[still])

    def forget(self) -> None:
        self._looks.clear()


def _near(points: Floats, others: Floats, within: Floats) -> NDArray[np.bool_]:
    if not len(others):
        return np.zeros(len(points), np.bool_)
    apart: Floats = np.linalg.norm(points[:, None] - others[None], axis=2)
    near: NDArray[np.bool_] = np.less_equal(apart.min(axis=1), within)
    return near


def _largest(points: Floats, reach: Floats) -> int:
    """The size of the largest set in which each stands within reach of another."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    linked = apart <= np.minimum(reach[:, None], reach[None])
    largest, left = 0, set(range(len(points)))
    while left:
        group = [left.pop()]
        for one in group:
            joined = {other for other in left if linked[one, other]}
            left -= joined
            group += joined
        largest = max(largest, len(group))
    return largest


def on_foot(boxes: Floats, bodies: Sequence[Body]) -> NDArray[np.bool_]:
    """Who of the bodies is a person that sits on no motorbike and no bicycle."""
    names = np.array(bodies, dtype=object)
    foot: NDArray[np.bool_] = names == "person"
    wheels = boxes[np.isin(names, ["motorbike", "bicycle"])]
    if not len(wheels) or not len(boxes):
        return foot
    size = np.minimum(boxes[:, None, 2:], wheels[None, :, 2:]) - np.maximum(boxes[:, None, :2], wheels[None, :, :2])
    shared = np.prod(np.maximum(size, 0.0), axis=2)
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    rides = np.greater_equal(shared.max(axis=1), 0.25 * np.maximum(own, 1e-9))
    foot[rides] = False
    return foot


class Occupied:
    """How much of a polygon differs from the empty street, without any detector: the median of the last half hour.

    A crowd that stays longer than half of that becomes the street; so it never gives a level.
    """

    WIDTH_PX = 160
    EVERY_S = 60.0
    SAMPLES = 31
    DIFFERS = 25.0
    """Grey levels, after the change of light that the whole polygon shares is taken off."""

    def __init__(self, polygon: Floats, *, height: int, width: int) -> None:
        scale = self.WIDTH_PX / width
        self._size = self.WIDTH_PX, max(1, round(height * scale))
        mask = np.zeros(self._size[::-1], np.uint8)
        cv2.fillPoly(mask, [np.round(polygon * scale).astype(np.int32)], 1)
        self._inside = mask.astype(np.bool_)
        self._samples: deque[Floats] = deque(maxlen=self.SAMPLES)
        self._street: Floats | None = None
        self._next_s = float("-inf")

    def see(self, y: NDArray[np.uint8], stream_s: float) -> float | None:
        """The share, 0..1; None until the street has been seen for three samples."""
        here = cv2.resize(y, self._size, interpolation=cv2.INTER_AREA)[self._inside].astype(np.float64)
        if stream_s >= self._next_s:
            self._next_s = stream_s + self.EVERY_S
            self._samples.append(here)
            self._street = np.median(np.array(self._samples), axis=0)
        if self._street is None or len(self._samples) < 3 or not len(here):
            return None
        change = here - self._street
        return float(np.mean(np.abs(change - np.median(change)) > self.DIFFERS))


class Flow:
    """Tracks over a line in the last minute; `in` goes to the left hand of the line as it is drawn."""

    WINDOW_S = 60.0
    MOST = 2000
    CLEAR_HEIGHTS = 0.15
    """A body counts when it is this far beyond the line: nobody counts twice for swaying on it."""

    def __init__(self, line: Floats) -> None:
        self._line = line
        self._sides: dict[int, tuple[int, float]] = {}
        self._crossed: deque[tuple[float, int]] = deque(maxlen=self.MOST)
        self._began: float | None = None

    def see(self, tracks: Sequence[Track], stream_s: float) -> tuple[float, float]:
        """(in, out) per minute. In the first minute the window is as long as what was seen, at least ten seconds."""
        self._began = stream_s if self._began is None else self._began
        here = [track for track in tracks if track.seen]
        if here:
            # The middle of a body: vehicles seen from above have no foot.
            middles = np.array([((t.box[0] + t.box[2]) / 2, (t.box[1] + t.box[3]) / 2) for t in here])
            for track, distance in zip(here, signed_side(self._line, middles).tolist(), strict=True):
                if abs(distance) < self.CLEAR_HEIGHTS * track.height:
                    continue
                side = 1 if distance > 0 else -1
                was, _ = self._sides.get(track.id, (side, stream_s))
                self._sides[track.id] = (side, stream_s)
                if was != side and self._within(track):
                    self._crossed.append((stream_s, side))
        self._sides = {id_: seen for id_, seen in self._sides.items() if stream_s - seen[1] < 10.0}
        while self._crossed and stream_s - self._crossed[0][0] > self.WINDOW_S:
            self._crossed.popleft()
        minutes = min(max(stream_s - self._began, 10.0), self.WINDOW_S) / 60.0
        inward = sum(side > 0 for _, side in self._crossed)
        return inward / minutes, (len(self._crossed) - inward) / minutes

    def _within(self, track: Track) -> bool:
        """A line ends: who walks around it does not cross it."""
        low = self._line.min(axis=0) - track.height / 2
        high = self._line.max(axis=0) + track.height / 2
        x, y = (track.box[0] + track.box[2]) / 2, (track.box[1] + track.box[3]) / 2
        return bool(low[0] <= x <= high[0] and low[1] <= y <= high[1])
