"""One picture of one camera, with the three clocks that belong to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Frame:
    camera: str
    y: Pixels
    """Luma, (height, width); a view into the decoder's plane where that is possible, so nobody writes into it."""
    stream_s: float
    """The stream's own clock: the first frame is 0."""
    arrived_s: float
    """Monotonic clock of this box."""
    seen_at: datetime
    """Wall clock of this box, UTC: a claim, never the base of a duration."""
    corrupt: bool
    bgr: Callable[[], NDArray[Any]]
    """The same picture in colour, (height, width, 3) uint8; converted only when somebody asks."""
