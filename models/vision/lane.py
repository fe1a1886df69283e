"""Whether a lane is empty, learnt by itself: empty is the look that comes back after each vehicle has gone."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass
class _Look:
    picture: Floats
    returns: float
    """How often it came back; older times count less, so that a lane that was painted anew is learnt anew."""


class Lane:
    """One lane of one camera; feed its pictures in order, `stream_s` is the stream's clock."""

    WIDTH_PX = 64
    DIFFERS = 22.0
    """Grey levels, after the change of light that the whole lane shares is taken off."""
    LIGHT = 45.0
    """The most that is taken off: a lorry that fills the lane is no change of light."""
    LIKE = 0.06
    """Share of the lane that may differ in the same look: a cat, a shadow, the officer's arm."""
    STILL = 0.01
    REST_S = 0.8
    """A look that stands so long is one: a vehicle that drives through leaves none."""
    FADING = 0.95
    MOST_LOOKS = 8

    def __init__(self, polygon: NDArray[np.float64] | None = None) -> None:
        """The polygon's corners, 0..1 of the picture; None is all of it."""
        self._polygon = polygon
        self._inside: NDArray[np.bool_] | None = None
        self._looks: list[_Look] = []
        self._here: _Look | None = None
        """Where the lane rested last."""
        self._last: Floats = np.empty(0, np.float32)
        self._rests_since_s = 0.0

    def see(self, y: Pixels, stream_s: float) -> bool:
        """Whether it is empty. What the lane looks like first is taken for empty until another look comes back more."""
        seen = self._small(y)
        if seen.shape != self._last.shape or self._unlike(seen, self._last) > self.STILL:
            self._rests_since_s = stream_s
        self._last = seen
        if stream_s - self._rests_since_s >= self.REST_S:
            self._rest(seen)
        empty = max(self._looks, key=lambda look: look.returns, default=None)
        return empty is None or self._unlike(seen, empty.picture) <= self.LIKE

    def _rest(self, seen: Floats) -> None:
        look = min(self._looks, key=lambda look: self._unlike(seen, look.picture), default=None)
        if look is None or self._unlike(seen, look.picture) > self.LIKE:
            look = _Look(seen.copy(), 0.0)
            self._looks.append(look)
        else:
            look.picture += 0.05 * (seen - look.picture)  # the day goes on
            if look is not self._here:
                for known in self._looks:
                    known.returns *= self.FADING
                look.returns += 1.0
        self._here = look
        while len(self._looks) > self.MOST_LOOKS:
            self._looks.remove(min((one for one in self._looks if one is not look), key=lambda one: one.returns))

    def _small(self, y: Pixels) -> Floats:
        height, width = y.shape
        size = self.WIDTH_PX, max(round(height * self.WIDTH_PX / width), 1)
        small = cv2.blur(cv2.resize(y, size, interpolation=cv2.INTER_LINEAR), (3, 3))
        if self._inside is None or self._inside.shape != small.shape:
            inside = np.ones(small.shape, np.uint8)
            if self._polygon is not None:
                inside[:] = 0
                cv2.fillPoly(inside, [np.round(self._polygon * size).astype(np.int32)], (1,))
            self._inside = inside.astype(np.bool_)
        return small[self._inside].astype(np.float32)

    def _unlike(self, one: Floats, other: Floats) -> float:
        """The share that differs; a picture of another size differs wholly."""
        if one.shape != other.shape or not len(one):
            return 1.0
        change = one - other
        light = np.clip(np.median(change), -self.LIGHT, self.LIGHT)
        return float(np.mean(np.abs(change - light) > self.DIFFERS))
