"""How full a street is: bodies in a polygon, a level that does not flicker, a flow over a line."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
    """The bodies in one zone: the median of the last looks, and the range that those looks span."""

    counts: Mapping[Body, int]
    low: int
    high: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Count:
    """Bodies in one polygon over the last looks."""

    LOOKS = 5

    def __init__(self, polygon: Floats) -> None:
        self._polygon = polygon
        self._looks: deque[Mapping[Body, int]] = deque(maxlen=self.LOOKS)

    def see(self, feet: Floats, bodies: Sequence[Body]) -> Crowd:
        """One look: where each body stands (n, 2) and what it is."""
        counts: dict[Body, int] = {}
        if len(bodies):
            for body, distance in zip(bodies, signed_distance(self._polygon, feet).tolist(), strict=True):
                if distance >= 0.0:
                    counts[body] = counts.get(body, 0) + 1
        self._looks.append(counts)
        totals = [sum(look.values()) for look in self._looks]
        names = sorted({name for look in self._looks for name in look})
        middle = {name: _middle([look.get(name, 0) for look in self._looks]) for name in names}
        return Crowd(counts={name: count for name, count in middle.items() if count}, low=min(totals), high=max(totals))


def _middle(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


class Level:
    """0..4 by four thresholds. It rises or falls only after `hold_s`, and falls only well below the threshold."""

    FALL_SHARE = 0.8

    def __init__(self, thresholds: Sequence[int], *, hold_s: float) -> None:
        self._thresholds = thresholds
        self._hold_s = hold_s
        self._level: int | None = None
        self._other_since: float | None = None

    def see(self, bodies: int, stream_s: float) -> tuple[int, int | None] | None:
        """(the new level, what it was before) when it changes; the first look always gives its level."""
        wanted = sum(bodies >= least for least in self._thresholds)
        if self._level is None:
            self._level = wanted
            return wanted, None
        if wanted < self._level and bodies >= self.FALL_SHARE * self._thresholds[self._level - 1]:
            wanted = self._level
        if wanted == self._level:
            self._other_since = None
            return None
        if self._other_since is None:
            self._other_since = stream_s
        if stream_s - self._other_since < self._hold_s:
            return None
        was, self._level, self._other_since = self._level, wanted, None
        return wanted, was


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
