"""The benchmark of reading codes: ours beside zxing-cpp alone, pyzbar and OpenCV, all on the same pictures in turn.

Times are CPU time of this process. The last line is one JSON object.
"""

import argparse
import io
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import segno
import zxingcpp

from edge.eyes.frame import Frame
from edge.eyes.watches.checkpoint import CheckpointWatch
from edge.settings import Camera
from models.vision.qr import QR, Pixels, PyzbarReader, QrReader
from scripts.bench.simulator import CROP_PX, FRAME_PX, IN_THE_MIX, KINDS, Sight, Stage

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
FRAME_BUDGET_MS = 15.0
SEQUENCE_FPS = 15

Read = Callable[[Pixels], Iterable[bytes]]


def _zxing(y: Pixels) -> Iterable[bytes]:
    formats: Any = zxingcpp.BarcodeFormat.QRCode
    return [bytes(symbol.bytes) for symbol in zxingcpp.read_barcodes(y, formats=formats)]


def _opencv() -> Read:
    detector = cv2.QRCodeDetector()

    def read(y: Pixels) -> Iterable[bytes]:
        try:
            text = detector.detectAndDecode(y)[0]
        except cv2.error:
            return []
        return [text.encode("utf-8", "surrogateescape")] if text else []

    return read


def _ours(*, thorough: bool = False, formats: Sequence[str] = QR) -> Read:
    reader = QrReader(formats=formats, thorough=thorough)
    return lambda y: [code.payload for code in reader.read(y)]


def _pyzbar() -> Read:
    reader = PyzbarReader()
    return lambda y: [code.payload for code in reader.read(y)]


READERS: dict[str, Callable[[], Read]] = {
    "": _ours, "_zxing": lambda: _zxing, "_pyzbar": _pyzbar, "_opencv": _opencv,
}  # fmt: skip
"""By the ending of their keys. Made anew for each picture that stands alone, so that none profits from the last."""


@dataclass
class Score:
    hits: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return sum(self.hits) / max(len(self.hits), 1)

    @property
    def mean_ms(self) -> float:
        return sum(self.ms) / max(len(self.ms), 1)


def _timed(read: Read, y: Pixels) -> tuple[Iterable[bytes], float]:
    began = time.process_time()
    found = read(y)
    return found, (time.process_time() - began) * 1000


def _warm_up() -> None:
    """What is loaded and laid out once in a process's life belongs to no picture."""
    stage = Stage(1, None)
    for sight in stage.crops(4):
        for make in READERS.values():
            make()(sight.picture)


def alone(sights: Iterable[Sight]) -> tuple[dict[str, Score], list[Sight]]:
    """Every reader on each picture, in another order each time; pictures are not kept."""
    scores = {name: Score() for name in READERS}
    seen = []
    for i, sight in enumerate(sights):
        names = list(READERS)
        for name in names[i % len(names) :] + names[: i % len(names)]:
            found, ms = _timed(READERS[name](), sight.picture)
            wanted = None if sight.held is None else sight.held.payload
            scores[name].hits.append(bool(found) if wanted is None else wanted in found)
            scores[name].ms.append(ms)
        seen.append(Sight(np.empty((0, 0), np.uint8), sight.held, sight.conditions, sight.corners))
    return scores, seen


@dataclass
class _Watching:
    """A reader that follows a film with so many milliseconds a frame; when they are spent, it misses frames."""

    read: Read
    left_ms: float = 0.0
    first: int | None = None

    def see(self, number: int, sight: Sight) -> float | None:
        self.left_ms = min(self.left_ms + FRAME_BUDGET_MS, FRAME_BUDGET_MS)
        if self.left_ms <= 0 or self.first is not None:
            return None
        found, ms = _timed(self.read, sight.picture)
        self.left_ms -= ms
        if sight.held is not None and sight.held.payload in found:
            self.first = number
        return ms


def in_sequences(sequences: Iterable[list[Sight]]) -> tuple[dict[str, Score], Score, list[float]]:
    """Any of 16; and of ours those that everybody should read, with the seconds until they were."""
    scores = {name: Score() for name in READERS}
    easy, seconds = Score(), []
    for sights in sequences:
        watching = {name: _Watching(make()) for name, make in READERS.items()}
        for number, sight in enumerate(sights):
            for name, one in watching.items():
                ms = one.see(number, sight)
                scores[name].ms += [] if ms is None else [ms]
        for name, one in watching.items():
            scores[name].hits.append(one.first is not None)
        if min(sight.px_per_module for sight in sights) >= 3.0 and "shiny" not in sights[0].conditions:
            first = watching[""].first
            easy.hits.append(first is not None)
            seconds.append((len(sights) if first is None else first) / SEQUENCE_FPS)
    return scores, easy, seconds


def gated(stage: Stage, count: int) -> Score:
    """The watch of a checkpoint camera on a scene in which nothing happens: only noise."""
    camera = Camera(id="cam-1", source="bench", watch="checkpoint")
    watch = CheckpointWatch(camera, key=b"k" * 32)
    ground = next(stage.empty(1, FRAME_PX)).picture
    grain = np.random.default_rng(3)
    score = Score()
    for i in range(count + 50):
        noise = grain.integers(-2, 3, 4096, dtype=np.int16)
        y = np.clip(ground.astype(np.int16) + np.resize(noise, FRAME_PX), 0, 255).astype(np.uint8)
        frame = Frame(
            camera="cam-1", y=y, stream_s=i / 10, arrived_s=i / 10, seen_at=datetime.now(UTC), corrupt=False,
            bgr=lambda: np.zeros((*FRAME_PX, 3), np.uint8),
        )  # fmt: skip
        began = time.process_time()
        watch.see(frame)
        if i >= 50:  # the first seconds count as movement
            score.ms.append((time.process_time() - began) * 1000)
    return score


def _says(payload: bytes, wanted: str) -> bool:
    """Old photos hold Shift JIS and GB; their texts are given as UTF-8, with the newlines of another system."""
    for charset in ("utf-8", "shift_jis", "gb18030", "latin-1"):
        try:
            text = payload.decode(charset)
        except UnicodeDecodeError:
            continue
        if text.replace("\r\n", "\n").rstrip("\n") == wanted:
            return True
    return False


def photos(folder: Path) -> tuple[Score, int]:
    """Photos of phones at four rotations; and what is read where there is nothing."""
    score, read = Score(), _ours(thorough=True)
    for photo in sorted(folder.glob("qrcode-[1-6]/*.*")):
        truth = photo.with_suffix(".txt")
        picture = None if photo.suffix == ".txt" or not truth.exists() else cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            continue
        wanted = truth.read_text(encoding="utf-8").replace("\r\n", "\n").rstrip("\n")
        for turn in range(4):
            found, ms = _timed(read, np.ascontiguousarray(np.rot90(picture, turn)).astype(np.uint8))
            score.hits.append(any(_says(payload, wanted) for payload in found))
            score.ms.append(ms)
    ghosts = 0
    for photo in sorted((folder / "falsepositives-2").glob("*.*")):
        picture = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            continue
        for turn in range(4):
            ghosts += len(list(read(np.ascontiguousarray(np.rot90(picture, turn)).astype(np.uint8))))
    return score, ghosts


def certificates(folder: Path) -> tuple[int, int]:
    """Read, of all pictures of EU certificates; and an Aztec code of our own must be among them."""
    read = _ours(thorough=True, formats=(*QR, "AztecCode"))
    pictures = sorted(folder.rglob("*.png"))
    done = 0
    for path in pictures:
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        done += int(picture is not None and any(True for _ in read(picture.astype(np.uint8))))
    return done, len(pictures)


def aztec() -> bool:
    symbol = zxingcpp.create_barcode("HC1:AZTEC", zxingcpp.BarcodeFormat.Aztec)
    drawn = np.asarray(zxingcpp.write_barcode_to_image(symbol, scale=4, add_quiet_zones=True)).astype(np.uint8)
    return b"HC1:AZTEC" in _ours(formats=("AztecCode",))(drawn)


def exact(stage: Stage, rng: random.Random, *, strings: int, each: int) -> tuple[int, int]:
    """Vietnamese words and passes rendered by segno: read back byte for byte, of how many."""
    texts = [" ".join(rng.choices(_WORDS, k=rng.randint(1, 3))) for _ in range(strings)]
    for kind in ("cccd", "bhyt", "personal", "personal"):
        texts += [stage.held(kind).payload.decode() for _ in range(each)]
    done = 0
    for text in texts:
        out = io.BytesIO()
        segno.make_qr(text, error="m", encoding="utf-8").save(out, kind="png", scale=4)
        picture = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        codes = QrReader().read(picture.astype(np.uint8))
        done += [code.text for code in codes] == [text] and codes[0].payload == text.encode()
    return done, len(texts)


_WORDS = (
    "Võ", "Anh", "Yến", "Nguyễn", "Thị", "Đặng", "Hữu", "Phước", "Quán", "Phở", "Bún", "Chả", "Tạp", "hóa",
    "Hiệu", "thuốc", "Bệnh", "viện", "Chợ", "Mơ", "Trường", "Tiểu", "học", "Kỳ", "Đồng", "Ừ", "Lý", "Thường", "Kiệt",
)  # fmt: skip


def plot(path: Path, sights: Sequence[Sight], scores: dict[str, Score]) -> None:
    """Recall over pixels a module, a line for each reader."""
    colours = {"": (40, 160, 40), "_zxing": (200, 120, 0), "_pyzbar": (60, 60, 220), "_opencv": (160, 60, 160)}
    picture = np.full((480, 760, 3), 255, np.uint8)
    left, bottom, wide, high = 60, 420, 560, 380
    edges = np.arange(0.75, 6.25, 0.5)
    sizes = np.array([sight.px_per_module for sight in sights])

    def at(size: float, recall: float) -> tuple[int, int]:
        return round(left + (size - 0.75) / 5.0 * wide), round(bottom - recall * high)

    for tenth in range(0, 11, 2):
        cv2.line(picture, at(0.75, tenth / 10), at(5.75, tenth / 10), (225, 225, 225), 1)
        cv2.putText(picture, f"{tenth * 10}%", (8, at(0.75, tenth / 10)[1] + 5), 0, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    for size in range(1, 6):
        cv2.putText(picture, f"{size}", (at(size, 0)[0] - 4, bottom + 20), 0, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.putText(picture, "pixels a module", (left + 200, bottom + 45), 0, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    for row, (name, score) in enumerate(scores.items()):
        hits, last = np.array(score.hits), None
        for low in edges:
            inside = (sizes >= low) & (sizes < low + 0.5)
            if inside.sum() < 5:
                continue
            point = at(float(low) + 0.25, float(hits[inside].mean()))
            cv2.circle(picture, point, 3, colours[name], -1, cv2.LINE_AA)
            if last is not None:
                cv2.line(picture, last, point, colours[name], 2, cv2.LINE_AA)
            last = point
        label = name.removeprefix("_") or "ours"
        cv2.putText(picture, label, (left + wide + 20, 70 + 24 * row), 0, 0.5, colours[name], 1, cv2.LINE_AA)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def _row(title: str, values: Iterable[object]) -> None:
    print(f"{title:34}" + "".join(f"{value!s:>12}" for value in values), flush=True)


def _rows(title: str, scores: dict[str, Score], count: int) -> None:
    _row(f"{title} ({count}): recall", [f"{score.recall:.3f}" for score in scores.values()])
    _row("  ms a picture", [f"{score.mean_ms:.2f}" for score in scores.values()])


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench/codes", description=__doc__)
    parser.add_argument("--seed", type=int, default=2021)
    parser.add_argument("--data", type=Path, default=DATA, help="backgrounds and photos (default %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of the pictures, for a quick look")
    parser.add_argument("--plot", type=Path, default=ROOT / ".cache" / "codes.png")
    options = parser.parse_args()
    data: Path = options.data
    if not data.is_dir():
        print(f"no development data at {data}: backgrounds are drawn, photos are left out", flush=True)

    share: float = options.share

    def of(count: int) -> int:
        return max(round(count * share), 8)

    stage = Stage(options.seed, data if data.is_dir() else None)
    _warm_up()
    _row("", [name.removeprefix("_") or "ours" for name in READERS])
    crops, seen = alone(stage.crops(of(900)))
    _rows("crops", crops, len(seen))
    for name in sorted({sight.conditions[0] for sight in seen}):
        those = [i for i, sight in enumerate(seen) if sight.conditions[0] == name]
        _row(f"  {name}", [f"{np.mean([score.hits[i] for i in those]):.2f}" for score in crops.values()])
    for kind in IN_THE_MIX:
        those = [i for i, sight in enumerate(seen) if sight.held is not None and sight.held.kind == kind]
        _row(f"  {kind}", [f"{np.mean([score.hits[i] for i in those]):.3f}" for score in crops.values()])
    plot(options.plot, seen, crops)
    nothing, _ = alone(stage.empty(of(100), (CROP_PX, CROP_PX)))
    _rows("crops without a code", nothing, of(100))
    for kind in (kind for kind in KINDS if kind not in IN_THE_MIX):
        extra, some = alone(stage.crops(of(100), (kind,)))
        _rows(f"  beside the mix: {kind}", extra, len(some))
    frames, seen = alone(stage.frames(of(260)))
    _rows("frames of 1080p", frames, len(seen))
    empty_frames, _ = alone(stage.empty(of(30), FRAME_PX))
    _rows("frames without a code", empty_frames, of(30))
    sequences, easy, seconds = in_sequences(stage.sequences(of(60)))
    _rows("sequences of 16 frames", sequences, of(60))
    if seconds:
        _row("  3 px a module, no glare", [f"{easy.recall:.3f}"])
        _row("  seconds until read, p95", [f"{np.quantile(seconds, 0.95):.2f}"])
    still = gated(stage, of(200))
    _row("still scene, gated: ms, most", [f"{still.mean_ms:.2f}", f"{max(still.ms):.2f}"])
    _row("rendered and read back", exact(stage, random.Random(options.seed), strings=of(1500), each=of(300)))
    _row("an Aztec code", [aztec()])
    photo_recall: float | None = None
    if data.is_dir():
        score, ghosts = photos(data / "qr" / "zxing")
        photo_recall = round(score.recall, 4)
        _row(f"photos ({len(score.hits)}): recall, ms", [f"{score.recall:.4f}", f"{score.mean_ms:.2f}"])
        _row("  read where there is nothing", [ghosts])
        _row("certificates", certificates(data / "dgc"))
    figures: dict[str, float | None] = {}
    for name in READERS:
        figures |= {
            f"crops_recall{name}": round(crops[name].recall, 4),
            f"crops_ms{name}": round(crops[name].mean_ms, 3),
            f"nocode_ms{name}": round(nothing[name].mean_ms, 3),
            f"full_recall{name}": round(frames[name].recall, 4),
            f"full_ms{name}": round(frames[name].mean_ms, 3),
            f"sequence_recall{name}": round(sequences[name].recall, 4),
        }
    figures |= {"gated_ms": round(still.mean_ms, 3), "photos_recall": photo_recall}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
