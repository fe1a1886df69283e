"""Detectors as ONNX: one face for every family, told apart by the model's card, else by what the graph returns.

A card is a JSON file beside the model (`yolox-nano.json`, or in `cards/` where the weights are ours); without one the
shapes of the outputs speak. Pre-processing belongs to a family, unless the graph takes bytes: then it is inside of it.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import msgspec
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

cv2.setNumThreads(1)

Family = Literal["yolox", "gfl", "yolov8", "end-to-end"]
Floats32 = NDArray[np.float32]
PERSON = 0
GREY = 114  # what YOLOX and its heirs were padded with in training
_HERE = Path(__file__).parent
PEOPLE = ("person-fixed", "yolox-nano", "picodet-s")
"""What `detector: auto` takes where people are guarded, the first that is there."""
TRAFFIC = ("yolox-nano", "picodet-s")
"""What it takes where vehicles are counted; motion alone without any."""


class Unusable(ValueError):
    """A model file that cannot be used; the message says why and what to do."""


class Card(Struct, frozen=True, kw_only=True):
    """What must be known of a weight file to use it; everything else in it is for people to read."""

    family: Family
    sha256: tuple[str, ...] = ()
    """Files that it describes; any file where there is none."""
    url: str | None = None
    sure: float = 0.5
    """The score from which a box may begin a track."""
    person_px: float | None = None
    """The height to which a camera's people must be brought; without it the whole picture fits the input."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    boxes: NDArray[np.float64]
    """(n, 4) left, top, right, bottom in pixels of the picture, best first."""
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class _Feeding:
    """How a family wants its picture: channels, scale and shift of 0..255."""

    rgb: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


_FEEDING: Mapping[Family, _Feeding] = {
    "yolox": _Feeding(),
    "gfl": _Feeding(mean=(103.53, 116.28, 123.675), scale=(1 / 57.375, 1 / 57.12, 1 / 58.395)),
    "yolov8": _Feeding(rgb=True, scale=(1 / 255, 1 / 255, 1 / 255)),
    "end-to-end": _Feeding(rgb=True, scale=(1 / 255, 1 / 255, 1 / 255)),
}


def _best(scores: Floats32, least: float) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats32]:
    """Rows whose best class reaches `least`, that class, and its score. One pass over all classes, then few rows."""
    rows = np.flatnonzero(scores.max(axis=1) >= least)
    some = scores[rows]
    classes = some.argmax(axis=1)
    return rows, classes, some[np.arange(len(rows)), classes]


@dataclass(frozen=True)
class Grid:
    """The cell and the stride of each row of an output, stride after stride, row after row."""

    cells: Floats32
    strides: Floats32

    @classmethod
    def of(cls, high: int, wide: int, strides: Sequence[int], *, ceil: bool) -> "Grid":
        cells, steps = [], []
        for stride in strides:
            rows, columns = (math.ceil(side / stride) if ceil else side // stride for side in (high, wide))
            y, x = np.mgrid[0:rows, 0:columns]
            cells.append(np.column_stack([x.ravel(), y.ravel()]))
            steps.append(np.full((rows * columns, 1), stride))
        return cls(np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32))


NO_GRID = Grid(np.zeros((0, 2), np.float32), np.zeros((0, 1), np.float32))


def decode(
    family: Family, raw: Sequence[Floats32], grid: Grid, least: float
) -> tuple[Floats32, Floats32, NDArray[np.int64]]:
    """(left, top, right, bottom) in pixels of the input, scores and classes, of what reaches the least score."""
    match family:
        case "yolox":
            likely = np.flatnonzero(raw[0][0, :, 4] >= least)
            table = raw[0][0][likely]
            some, classes, scores = _best(table[:, 5:] * table[:, 4:5], least)
            table, at = table[some], likely[some]
            centre = (table[:, :2] + grid.cells[at]) * grid.strides[at]
            half = np.exp(table[:, 2:4]) * grid.strides[at] / 2
            boxes = np.concatenate([centre - half, centre + half], axis=1)
        case "gfl":
            levels = len(raw) // 2
            some, classes, scores = _best(np.concatenate([level[0] for level in raw[:levels]]), least)
            bins = np.concatenate([level[0] for level in raw[levels:]])[some].reshape(
                len(some), 4, raw[levels].shape[2] // 4
            )
            odds = np.exp(bins - bins.max(axis=2, keepdims=True))
            sides = (odds @ np.arange(bins.shape[2], dtype=np.float32)) / odds.sum(axis=2) * grid.strides[some]
            centre = (grid.cells[some] + 0.5) * grid.strides[some]
            boxes = np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1)
        case "yolov8":
            some, classes, scores = _best(raw[0][0, 4:].T, least)
            found = raw[0][0, :4].T[some]
            boxes = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], axis=1)
        case "end-to-end":
            table = raw[0][0]
            table = table[table[:, 4] >= least]
            boxes, scores, classes = table[:, :4], table[:, 4], table[:, 5].astype(np.int64)
    return boxes, scores, classes


class Detector:
    """One session, one thread, no spinning: a second thread only takes the other cameras' core away.

    For one caller at a time: its input is one buffer. Whoever shares it takes turns.
    """

    MOST_PIXELS = 640 * 640
    """Of a picture that is brought to the height of its people; a wider one is shrunk, and its far people lost."""

    def __init__(self, path: Path, *, least_score: float = 0.25, most: int = 300) -> None:
        if not path.is_file():
            raise Unusable(f"{path}: no such model file; give the path of an .onnx or write detector: motion")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a class of its own for every fault of a file
            raise Unusable(f"{path}: onnxruntime cannot load it: {error}; export it again") from error
        card = card_of(path)
        given = self._session.get_inputs()
        shape = list(given[0].shape)
        self._bytes = given[0].type == "tensor(uint8)"
        sides = shape[1:3] if self._bytes else shape[2:4]
        channels = shape[3:] if self._bytes else shape[1:2]
        fixed = all(isinstance(side, int) and side % 32 == 0 for side in sides)
        if len(given) != 1 or len(shape) != 4 or channels != [3] or not (fixed or (card and card.person_px)):
            raise Unusable(
                f"{path}: input {shape} is neither [1, 3, rows, columns] floats nor [1, rows, columns, 3] bytes; "
                "export it with a fixed size of multiples of 32"
            )
        self._sides: tuple[int, int] | None = (sides[0], sides[1]) if fixed else None
        self._person_px = card.person_px if card and not fixed else None
        self._input = given[0].name
        returned = [list(output.shape) for output in self._session.get_outputs()]
        self.family = card.family if card else _told_by(path, returned, *(self._sides or (0, 0)))
        self.name = path.stem
        self.sure = card.sure if card else 0.5
        self._least_score, self._most = least_score, most
        self._grid = NO_GRID
        if self._sides and self.family in {"yolox", "gfl"}:
            strides = (8, 16, 32, 64)[: len(returned) // 2] if self.family == "gfl" else (8, 16, 32)
            self._grid = Grid.of(*self._sides, strides, ceil=self.family == "gfl")
        self._padded = np.full((*(self._sides or (32, 32)), 3), GREY, np.uint8)
        # Some export the scores before their sigmoid: then most of a grey picture's are below nought.
        self._logits = self.family == "gfl" and bool(self._run()[0].min() < 0.0)

    @property
    def input_px(self) -> int:
        """The longer side to which a picture is shrunk; of a net of any size, what a square picture may have."""
        return max(self._sides) if self._sides else math.isqrt(self.MOST_PIXELS)

    def detect(self, bgr: NDArray[np.uint8], *, person_px: float | None = None) -> Detections:
        """What is in one colour picture. `person_px`: how tall its people are; a net of one height needs it. One thread
        at a time.
        """
        height, width = bgr.shape[:2]
        scale = self._scale(height, width, person_px)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if self._sides is None and self._padded.shape[:2] != (
            rows_columns := (-(-size[1] // 32) * 32, -(-size[0] // 32) * 32)
        ):
            self._padded = np.full((*rows_columns, 3), GREY, np.uint8)
        self._padded[size[1] :] = GREY
        self._padded[:, size[0] :] = GREY
        way = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        self._padded[: size[1], : size[0]] = bgr if scale == 1.0 else cv2.resize(bgr, size, interpolation=way)
        boxes, scores, classes = decode(self.family, self._answer(), self._grid, self._least_score)
        kept = (
            _separate(boxes, scores, classes, self._least_score)
            if self.family != "end-to-end"
            else np.arange(len(boxes))
        )
        best = kept[np.argsort(-scores[kept], kind="stable")][: self._most]
        limits = np.array([width, height, width, height], np.float64)
        return Detections(
            boxes=np.clip(boxes[best].astype(np.float64) / scale, 0.0, limits),
            scores=scores[best].astype(np.float64),
            classes=classes[best].astype(np.int64),
        )

    def _scale(self, height: int, width: int, person_px: float | None) -> float:
        if self._sides is not None:
            return min(self._sides[0] / height, self._sides[1] / width)
        assert self._person_px is not None
        wanted = self._person_px / person_px if person_px else 1.0
        return min(wanted, math.sqrt(self.MOST_PIXELS / (height * width)), 2.0)

    def _run(self) -> list[Floats32]:
        if self._bytes:
            blob: NDArray[Any] = self._padded[None]
        else:
            feeding = _FEEDING[self.family]
            blob = cv2.dnn.blobFromImage(self._padded, swapRB=feeding.rgb)
            if feeding != _Feeding():
                for channel, (mean, factor) in enumerate(zip(feeding.mean, feeding.scale, strict=True)):
                    np.subtract(blob[0, channel], np.float32(mean), out=blob[0, channel])
                    np.multiply(blob[0, channel], np.float32(factor), out=blob[0, channel])
        raw: list[Floats32] = self._session.run(None, {self._input: blob})
        return raw

    def _answer(self) -> list[Floats32]:
        raw = self._run()
        if self._logits:
            levels = len(raw) // 2
            raw[:levels] = [np.float32(1.0) / (np.float32(1.0) + np.exp(-level)) for level in raw[:levels]]
        return raw


def _separate(boxes: Floats32, scores: Floats32, classes: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """The rows that no better box of their class covers by more than half."""
    if not len(boxes):
        return np.zeros(0, np.int64)
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(corners.tolist(), scores.tolist(), classes.tolist(), least, 0.5)
    return np.asarray(kept, np.int64).reshape(-1)


def _told_by(path: Path, shapes: list[list[Any]], rows: int, columns: int) -> Family:
    """The family whose outputs have these shapes."""
    cells = sum((rows // stride) * (columns // stride) for stride in (8, 16, 32))
    if len(shapes) in {6, 8} and all(len(shape) == 3 for shape in shapes):
        return "gfl"
    if len(shapes) == 1 and len(shapes[0]) == 3:
        _, first, second = shapes[0]
        if first == cells and isinstance(second, int) and second >= 6:
            return "yolox"
        if second == 6:
            return "end-to-end"
        if second == cells and isinstance(first, int) and first >= 5:
            return "yolov8"
    raise Unusable(
        f"{path}: outputs {shapes} are of no known family: YOLOX [1, {cells}, 5 + classes], GFL (NanoDet, PicoDet) "
        f"scores and bins by level, YOLOv8 [1, 4 + classes, {cells}], end-to-end [1, n, 6]; export one of these"
    )


def cards() -> dict[str, Card]:
    """Every card of ours, by the name of its weights."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Card)
        for path in sorted((_HERE / "cards").glob("*.json"))
    }


def card_of(path: Path) -> Card | None:
    """The card beside the file, or ours that knows its content. Raises Unusable for a card of another file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = path.with_suffix(".json")
    if beside.is_file():
        try:
            card = msgspec.json.decode(beside.read_bytes(), type=Card)
        except msgspec.MsgspecError as error:
            raise Unusable(f"{beside}: is no model card: {error}; correct it or take it away") from error
        if card.sha256 and digest not in card.sha256:
            raise Unusable(f"{path}: is not the file that {beside.name} describes; fetch it again")
        return card
    return next((card for card in cards().values() if digest in card.sha256), None)


def named(detector: str, best: Sequence[str] = PEOPLE) -> Path | None:
    """The file that a camera's `detector` means, for auto the first of `best` that is on this box.

    None where it goes by motion alone. Raises Unusable.
    """
    if detector == "motion":
        return None
    if detector == "auto":
        return next((path for path in map(_weights, best) if path.is_file()), None)
    if detector in cards():
        path = _weights(detector)
        if not path.is_file():
            raise Unusable(f"detector {detector}: its weights are not on this box; run scripts/weights get {detector}")
        return path
    return Path(detector)


def _weights(name: str) -> Path:
    return _HERE / "weights" / f"{name}.onnx"
