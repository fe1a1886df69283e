"""Modules won back from a blur."""

import cv2
import numpy as np
import segno

from models.vision.equalizer import PX, sharpened
from models.vision.finder import QUIET, Geometry


def test_modules_smeared_into_each_other_come_back() -> None:
    code = segno.make_qr("0123456789AB" * 8, error="m")
    light = np.array([[not dark for dark in row] for row in code.matrix_iter(border=QUIET)])
    px = 3
    picture = np.repeat(np.repeat(np.where(light, 220.0, 30.0), px, 0), px, 1).astype(np.float32)
    blurred = cv2.GaussianBlur(picture, (0, 0), 2.3) + np.random.default_rng(1).normal(0, 2, picture.shape)
    y = np.clip(blurred, 0, 255).astype(np.uint8)
    side = len(light) - 2 * QUIET
    move = np.array([(px, 0, px * QUIET), (0, px, px * QUIET), (0, 0, 1)], np.float64)
    wrong = [
        int((np.asarray(drawing[::PX, ::PX] > 0) != light).sum()) for drawing in sharpened(y, Geometry(side, move, 1.0))
    ]
    threshold = cv2.blur(y, (31, 31))[px // 2 :: px, px // 2 :: px]
    plain = int(((y[px // 2 :: px, px // 2 :: px] > threshold) != light).sum())
    assert wrong[-1] < 0.25 * plain
    assert wrong[-1] <= wrong[0]
