"""What a picture makes of a symbol that it shows: how light, how washed out, how blurred."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.aim import Symptoms
from models.vision.qr import Corners

Pixels = NDArray[np.uint8]

_BARREN_MODULES = 5
"""No symbol has a square of so many modules without a dark one."""


def symptoms(y: Pixels, corners: Corners, px_per_module: float) -> Symptoms | None:
    """Of the symbol between the corners, which may stand out of the picture in part; None when it does wholly."""
    quad = np.array(corners, np.float32)
    height, width = y.shape
    left, top = (max(int(edge), 0) for edge in np.floor(quad.min(0)))
    right, bottom = (min(int(edge), most) for edge, most in zip(np.ceil(quad.max(0)), (width, height), strict=True))
    if right - left < 2 or bottom - top < 2:
        return None
    part = y[top:bottom, left:right]
    mask = np.zeros(part.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.round(quad - (left, top)).astype(np.int32), (1,))
    inside = mask.astype(np.bool_)
    if not inside.any():
        return None
    dark, light = np.percentile(part[inside], (10, 90))
    contrast = max(float(light - dark), 1.0)
    reach = max(round(_BARREN_MODULES * px_per_module), 3)
    darkest = cv2.erode(part, np.ones((reach, reach), np.uint8))
    across, down = (cv2.Sobel(part, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    steepest = max(float(np.percentile(np.hypot(across, down)[inside], 95)), 0.1)
    return Symptoms(
        px_per_module=px_per_module,
        light=float(light),
        washed=float((darkest[inside] > dark + contrast / 2).mean()),
        blur_px=contrast / steepest,
    )
