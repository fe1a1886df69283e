"""How much ground a polygon of the picture covers, in square metres."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class BadGround(ValueError):
    """A calibration that cannot be: the message says what is wrong and what to measure."""


def area_m2(
    polygon: Floats,
    *,
    metres_per_pixel: float | None = None,
    ground: Sequence[tuple[float, float, float, float]] = (),
) -> float | None:
    """Of a polygon in pixels. `ground`: four points of the picture (x, y pixels) and where they lie (X, Y metres).

    None without any calibration. Raises BadGround.
    """
    if ground:
        return _shoelace(_on_ground(polygon, np.array(ground, np.float64)))
    return None if metres_per_pixel is None else _shoelace(polygon) * metres_per_pixel**2


def _on_ground(polygon: Floats, points: Floats) -> Floats:
    seen, lies = points[:, :2].astype(np.float32), points[:, 2:].astype(np.float32)
    for corners, where in ((seen, "picture"), (lies, "ground")):
        least = min(_shoelace(np.delete(corners, i, axis=0).astype(np.float64)) for i in range(4))
        if least < 1e-3 * max(_extent(corners), 1e-9):
            raise BadGround(
                f"three of the four ground points lie in one line on the {where}; choose a rectangle's corners"
            )
    matrix = np.asarray(cv2.getPerspectiveTransform(seen, lies), np.float64)
    projected = np.column_stack([polygon, np.ones(len(polygon))]) @ matrix.T
    depth = projected[:, 2] * np.sign(np.column_stack([seen, np.ones(4)]) @ matrix.T)[0, 2]
    if (depth <= 1e-9).any():
        raise BadGround("the polygon reaches above the horizon of the four ground points; lower its far edge")
    flat: Floats = projected[:, :2] / projected[:, 2:]
    return flat


def _extent(corners: NDArray[np.float32]) -> float:
    return float(np.prod(corners.max(axis=0) - corners.min(axis=0)))


def _shoelace(corners: Floats) -> float:
    x, y = corners[:, 0], corners[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
