"""Whether anything stirs in a picture: the cheapest question, asked before any dearer one."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Stir:
    """Feed pictures of one camera in order; a new size begins anew. About a fifth of a millisecond a picture."""

    SIZE = (192, 108)
    STEP = 12
    """Grey levels beyond which a pixel has changed: twice the noise of a night picture after the blur."""
    LEAST_SHARE = 0.0008
    """Of all pixels: a person of 60 in 720 lines."""
    LEARN = 0.1
    """Of each picture: who stands still is background after some twenty looks."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()
        self._mean = np.zeros((self.SIZE[1], self.SIZE[0]), np.float32)

    def see(self, y: Pixels) -> bool:
        small = cv2.blur(cv2.resize(y, self.SIZE, interpolation=cv2.INTER_LINEAR), (3, 3))
        if y.shape != self._shape:
            self._shape = y.shape
            self._mean[:] = small
            return True
        changed = cv2.absdiff(small, cv2.convertScaleAbs(self._mean))
        cv2.accumulateWeighted(small, self._mean, self.LEARN)
        moved = cv2.countNonZero(cv2.threshold(changed, self.STEP, 255, cv2.THRESH_BINARY)[1])
        return moved > self.LEAST_SHARE * small.size
