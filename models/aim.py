"""What to tell somebody whose code is seen and not read: nearer, still, less glare, brighter. Pure."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from models.optics import MARGINAL_PX

Advice = Literal["closer", "still", "glare", "brighter"]

DARK = 72.0
"""Grey level of a symbol's light modules below which the sensor's own noise hides the dark ones."""
GLARING = 235.0
WASHED = 0.06
"""Share of a symbol without a dark module: above it there is no more left than error correction can mend."""
BLURRED_PX = 2.15
"""Width of an edge; a sharp picture's are 1.9 to 2.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptoms:
    """What a picture makes of one symbol."""

    px_per_module: float
    light: float
    """Grey level of its light modules, 0 to 255."""
    washed: float
    """Share of its area that has no dark module."""
    blur_px: float
    """How wide an edge is."""


def advise(seen: Symptoms) -> Advice:
    """The one change that helps most. Coming nearer makes up for anything but glare and dark."""
    if seen.washed > WASHED and seen.light > GLARING:
        return "glare"
    if seen.px_per_module < MARGINAL_PX:
        return "closer"
    if seen.light < DARK:
        return "brighter"
    return "still" if seen.blur_px > BLURRED_PX else "closer"


class Guide:
    """One camera's, by its stream's seconds. A code is often read in its second picture: so soon nothing is said."""

    PATIENCE_S = 0.4
    LEAST_SEEN = 2
    """One picture may be deceived by a pattern that looks like a symbol."""
    FORGET_S = 1.5

    def __init__(self) -> None:
        self._since_s = self._last_s = float("-inf")
        self._seen: Counter[Advice] = Counter()

    def see(self, symptoms: Symptoms | None, now: float) -> Advice | None:
        """What is to be said now; None while there is nothing to say. None stands for a picture without a symptom."""
        if now - self._last_s >= self.FORGET_S:
            self._seen.clear()
        if symptoms is not None:
            if not self._seen:
                self._since_s = now
            self._last_s = now
            self._seen[advise(symptoms)] += 1
        if self._seen.total() < self.LEAST_SEEN or now - self._since_s < self.PATIENCE_S:
            return None
        return self._seen.most_common(1)[0][0]

    def forget(self) -> None:
        """It was read."""
        self._seen.clear()
