"""Whether a camera still sees its scene: covered, defocused, turned away, frozen or too dark. One look a second.

Everything is compared with a slowly learnt picture of the scene, never with brightness alone: dusk, infrared, rain and
headlights change the light and leave the strongest edges where they are.
"""

import zlib
from collections import deque
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Fault = Literal["covered", "defocused", "turned", "frozen", "dark"]


class Look(NamedTuple):
    """What one picture shows, in numbers."""

    mean: float
    contrast: float
    """Standard deviation of the grey levels."""
    glare: float
    """The share that is white."""
    sharpness: float
    """Fine detail of the edges in proportion to coarse: dusk and glare keep it, a lens out of focus loses it."""
    edges: Floats
    """1 at the strongest edges, else 0."""
    print: int
    """Of the raw picture: noise never gives the same one twice."""


def look(y: Pixels, *, size: tuple[int, int] = (320, 180)) -> Look:
    small = cv2.resize(y, size, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (5, 5), 0).astype(np.float32)
    contrast = float(small.std())
    fine = np.abs(small.astype(np.float32) - soft)
    coarse = np.abs(soft - cv2.GaussianBlur(soft, (0, 0), 5))
    strength = cv2.magnitude(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    edges = (strength > max(float(np.quantile(strength, 1.0 - Tamper.EDGE_SHARE)), 4.0)).astype(np.float32)
    return Look(
        mean=float(small.mean()),
        contrast=contrast,
        glare=float((small > Tamper.GLARE).mean()),
        sharpness=float(fine[edges > 0].mean() / max(coarse[edges > 0].mean(), 0.5)) if edges.any() else 0.0,
        edges=edges,
        print=zlib.adler32(y[::4, ::4].tobytes()),
    )


class Tamper:
    """`see` any picture of one camera; it looks at one a second and tells what is wrong, None when nothing is."""

    LOOK_S = 1.0
    HOLD = 3
    """Looks that must agree, in either direction."""
    WARM = 8
    """Looks after which the scene is known."""
    LEARN = 1 / 60
    """Of each look: dusk takes half an hour, a lens is turned in a second."""
    ADOPT = 1800
    """Looks after which what is seen now is the scene: somebody has set the camera anew."""
    EDGE_SHARE = 0.04
    GLARE = 210
    DAZZLED = 0.015
    """More of the picture white than the scene has: a lamp shines into the lens, and nothing is concluded."""
    DARK = 18.0
    FLAT = 6.0
    """Grey levels of contrast below which nothing could be made out."""

    def __init__(self) -> None:
        self._next_s = float("-inf")
        self._shape: tuple[int, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._scene: Floats | None = None
        self._mean = self._contrast = self._sharpness = self._glare = 0.0
        self._looks = 0
        self._wrong_for = 0
        self._print: int | None = None
        self._same = 0
        self._recent: deque[Fault | None] = deque(maxlen=self.HOLD)
        self._fault: Fault | None = None

    def see(self, y: Pixels, stream_s: float) -> Fault | None:
        if stream_s < self._next_s:
            return self._fault
        self._next_s = stream_s + 0.95 * self.LOOK_S
        if y.shape != self._shape:
            self._shape = y.shape
            self._begin()
        now = look(y)
        self._same = self._same + 1 if now.print == self._print else 0
        self._print = now.print
        if self._is_dazzled(now):
            self._glare += self.LEARN * (now.glare - self._glare)  # a lamp that stays belongs to the scene
            return self._fault
        wrong = self._wrong(now)
        self._learn(now, wrong)
        self._recent.append(wrong)
        said = set(self._recent)
        # all well, or wrong each time: a cloth on its way over the lens is called what it is at the end
        if len(self._recent) == self.HOLD and (said == {None} or None not in said):
            self._fault = wrong
        return self._fault

    def _wrong(self, now: Look) -> Fault | None:
        if self._same >= 1:
            return "frozen"
        if now.mean < self.DARK and now.contrast < 2 * self.FLAT:
            return "dark"
        known = self._scene is not None and self._looks >= self.WARM
        if self._is_veiled(now) if known else now.contrast < self.FLAT:
            return "covered"
        if not known:
            return None
        kept = self._kept(now)
        if now.sharpness < 0.45 * self._sharpness and kept > 0.2:
            return "defocused"
        return "turned" if kept < 0.3 else None

    def _is_dazzled(self, now: Look) -> bool:
        return self._looks >= self.WARM and self._same == 0 and now.glare > self._glare + self.DAZZLED

    def _is_veiled(self, now: Look) -> bool:
        """Flatter than the scene by more than dusk explains, and without its edges."""
        flat = now.contrast / max(now.mean, 1.0) < 0.4 * self._contrast / max(self._mean, 1.0)
        flat &= now.contrast < 0.3 * self._contrast
        return flat and self._kept(now) < 0.6

    def _kept(self, now: Look) -> float:
        """The share of the scene's lasting edges that is still there."""
        assert self._scene is not None, "asked only of a scene that is known"
        lasting = self._scene > 0.5
        if lasting.sum() < 50:  # a wall: it has no edges to lose
            return 1.0
        near = cv2.dilate(now.edges, np.ones((3, 3), np.uint8))
        return float(near[lasting].mean())

    def _learn(self, now: Look, wrong: Fault | None) -> None:
        self._wrong_for = self._wrong_for + 1 if wrong in {"covered", "turned", "defocused"} else 0
        if self._wrong_for > self.ADOPT:
            self._begin()
        if wrong is not None or self._fault is not None:
            return
        self._looks += 1
        share = max(1 / self._looks, self.LEARN)
        if self._scene is None:
            self._scene = now.edges.copy()
        cv2.accumulateWeighted(now.edges, self._scene, share)
        self._mean += share * (now.mean - self._mean)
        self._contrast += share * (now.contrast - self._contrast)
        self._sharpness += share * (now.sharpness - self._sharpness)
        self._glare += share * (now.glare - self._glare)
