"""An ONNX detector that an operator brings: the YOLOX family, one look at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

cv2.setNumThreads(1)

STRIDES = (8, 16, 32)
PADDING = 114  # the grey that YOLOX was trained with


class Unusable(ValueError):
    """A model file that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    boxes: NDArray[np.float64]
    """(n, 4) left, top, right, bottom in pixels of the picture, best first."""
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]


def _grid(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The cell and the stride of each row of the output, as the YOLOX head lays them out."""
    cells, strides = [], []
    for stride in STRIDES:
        n = side // stride
        x, y = np.meshgrid(np.arange(n), np.arange(n))
        cells.append(np.stack([x, y], axis=2).reshape(-1, 2))
        strides.append(np.full((n * n, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


class Detector:
    """One session, one thread, no spinning: a second thread only takes the other cameras' core away."""

    def __init__(self, path: Path, *, least_score: float = 0.25, most: int = 300) -> None:
        if not path.is_file():
            raise Unusable(f"{path}: no such model file; give the path of an .onnx or write detector: motion")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a class of its own for every fault of a file
            raise Unusable(f"{path}: onnxruntime cannot load it: {error}; export it again") from error
        given, returned = self._session.get_inputs(), self._session.get_outputs()
        taken, made = list(given[0].shape), list(returned[0].shape)
        side = taken[2] if len(taken) == 4 else None
        if len(given) != 1 or taken[:2] != [1, 3] or not isinstance(side, int) or taken[3] != side or side % 32:
            raise Unusable(f"{path}: input {taken} is not [1, 3, N, N]; only the YOLOX family is known here")
        self._cells, self._strides = _grid(side)
        rows, columns = (made[1], made[2]) if len(made) == 3 else (None, None)
        if len(returned) != 1 or rows != len(self._cells) or not isinstance(columns, int) or columns < 6:
            raise Unusable(
                f"{path}: output {made} is not YOLOX's [1, {len(self._cells)}, 5 + classes]; export a raw YOLOX head"
            )
        self._name, self._side = given[0].name, side
        self._least_score, self._most = least_score, most
        self._padded = np.full((side, side, 3), PADDING, np.uint8)

    def detect(self, bgr: NDArray[np.uint8]) -> Detections:
        """What is in one colour picture."""
        height, width = bgr.shape[:2]
        scale = min(self._side / height, self._side / width)
        size = round(width * scale), round(height * scale)
        self._padded[:] = PADDING
        self._padded[: size[1], : size[0]] = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
        raw = self._session.run(None, {self._name: cv2.dnn.blobFromImage(self._padded)})[0][0]
        return self._decode(raw, scale, height, width)

    def _decode(self, raw: NDArray[np.float32], scale: float, height: int, width: int) -> Detections:
        classes = raw[:, 5:].argmax(axis=1)
        scores = raw[:, 4] * raw[np.arange(len(raw)), 5 + classes]
        rows = np.flatnonzero(scores >= self._least_score)
        centre = (raw[rows, :2] + self._cells[rows]) * self._strides[rows]
        size = np.exp(raw[rows, 2:4]) * self._strides[rows]
        kept = np.array([], np.int64)
        if len(rows):
            corner = np.concatenate([centre - size / 2, size], axis=1)
            kept = np.asarray(
                cv2.dnn.NMSBoxesBatched(
                    corner.tolist(), scores[rows].tolist(), classes[rows].tolist(), self._least_score, 0.5
                ),
                np.int64,
            ).reshape(-1)
        best = kept[np.argsort(-scores[rows][kept], kind="stable")][: self._most]
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)[best].astype(np.float64) / scale
        return Detections(
            boxes=np.clip(boxes, 0.0, np.array([width, height, width, height], np.float64)),
            scores=scores[rows][best].astype(np.float64),
            classes=classes[rows][best].astype(np.int64),
        )
