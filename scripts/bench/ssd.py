"""Detectors of the Open Model Zoo, which only benchmarks use."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.vision.detector import Detections


class OpenVino:
    """An SSD head: the picture is stretched to its input, boxes come ready."""

    family = "ssd"

    def __init__(self, path: Path) -> None:
        import openvino  # noqa: PLC0415  (slow to import)

        self._net: Any = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": 1})
        _, _, self._height, self._width = self._net.input(0).shape
        self.input_px = max(self._height, self._width)

    def detect(self, bgr: NDArray[np.uint8], *, person_px: float | None = None) -> Detections:  # noqa: ARG002  (its input is fixed)
        height, width = bgr.shape[:2]
        fed = cv2.resize(bgr, (self._width, self._height)).transpose(2, 0, 1)[None].astype(np.float32)
        rows = np.asarray(self._net(fed)[0], np.float64).reshape(-1, 7)
        rows = rows[rows[:, 2] >= 0.1]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        return Detections(
            boxes=rows[:, 3:7] * (width, height, width, height), scores=rows[:, 2], classes=rows[:, 1].astype(np.int64)
        )
