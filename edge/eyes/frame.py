"""One picture of one camera, with the three clocks that belong to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
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


def luma(picture: VideoFrame) -> Pixels:
    """The decoder's own luma plane without a copy, where it has one of 8 bits."""
    layout = picture.format
    if layout.is_rgb or not layout.is_planar or layout.components[0].bits != 8:
        picture = picture.reformat(format="gray")
    plane = picture.planes[0]
    rows: Pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]  # a buffer
    luma = rows[: picture.height, : picture.width]
    luma.flags.writeable = False  # the decoder still predicts from it
    return luma
