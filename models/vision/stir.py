"""Whether anything stirs in a picture, and where: the cheapest question, asked before any dearer one."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Region = tuple[int, int, int, int]
"""Left, top, width, height in pixels of the full picture."""


class Stir:
    """Feed pictures of one camera in order. Each is held against the last one that stirred, so that what creeps is
    noticed as well, and a lamp that was switched on is noticed once. About a fifth of a millisecond a picture.
    """

    LEAST_CELLS = 6
    """Fewer changed cells are noise."""
    GROWN_CELLS = 7
    MOST_REGIONS = 2

    def __init__(self, *, step_px: int = 8, difference: int = 12) -> None:
        """A cell is a square of `step_px`; it has changed when it is this many grey levels lighter or darker: beyond
        four times the noise of a night picture.
        """
        self._step_px = step_px
        self._difference = difference
        self._held: Pixels = np.zeros((0, 0), np.uint8)

    def see(self, y: Pixels) -> list[Region]:
        """What has changed, the largest first; none in a still picture, all of one of a new size."""
        height, width = y.shape
        step = self._step_px
        size = max(width // step, 1), max(height // step, 1)
        small = np.asarray(cv2.blur(cv2.resize(y, size, interpolation=cv2.INTER_LINEAR), (3, 3)), np.uint8)
        if small.shape != self._held.shape:
            self._held = small
            return [(0, 0, width, height)]
        changed = cv2.threshold(cv2.absdiff(small, self._held), self._difference, 255, cv2.THRESH_BINARY)[1]
        if cv2.countNonZero(changed) < self.LEAST_CELLS:
            return []
        self._held = small
        grown = cv2.dilate(changed, np.ones((self.GROWN_CELLS, self.GROWN_CELLS), np.uint8))
        stats = cv2.connectedComponentsWithStats(grown, connectivity=8)[2][1:]
        largest = stats[np.argsort(-stats[:, 4], kind="stable")][: self.MOST_REGIONS]
        return [(int(x) * step, int(t) * step, int(w) * step, int(h) * step) for x, t, w, h, _ in largest]
