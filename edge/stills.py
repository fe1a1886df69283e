"""`edge read`: the codes in a picture file, as thoroughly as we can."""

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.vision.qr import Code, Pixels, QrReader

_reader = QrReader(thorough=True)


def read(path: Path) -> dict[str, Any]:
    """`{"file", "codes": [{"format", "text", "bytes_hex", "corners"}], "ms"}`, or `{"file", "error"}`.

    `text` is the payload as UTF-8, null where it is not. `ms` is the time of reading codes, without that of
    decoding the file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        return {"file": str(path), "error": f"cannot be read: {error.strerror}; give the path of a picture"}
    picture = _luma(raw)
    if picture is None:
        return {"file": str(path), "error": "is no picture that we can decode; give a JPEG, PNG, WebP, BMP or TIFF"}
    began = time.perf_counter()
    codes = _reader.read(picture)
    if not codes and (on_white := _on_white(raw)) is not None:
        codes = _reader.read(on_white)
    spent_ms = (time.perf_counter() - began) * 1000
    return {"file": str(path), "codes": [_plain(code) for code in codes], "ms": round(spent_ms, 2)}


def _plain(code: Code) -> dict[str, Any]:
    return {
        "format": code.format,
        "text": code.text,
        "bytes_hex": code.payload.hex(),
        "corners": [[round(x, 1), round(y, 1)] for x, y in code.corners],
    }


def _decode(raw: bytes, how: int) -> np.ndarray[Any, Any] | None:
    if not raw:
        return None
    try:
        return cv2.imdecode(np.frombuffer(raw, np.uint8), how)
    except cv2.error:  # more pixels than OpenCV is willing to hold
        return None


def _luma(raw: bytes) -> Pixels | None:
    picture = _decode(raw, cv2.IMREAD_GRAYSCALE)
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _on_white(raw: bytes) -> Pixels | None:
    """A picture with transparency as a page shows it; without it, a black code on nothing is black on black."""
    picture = _decode(raw, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4 or picture.dtype != np.uint8:
        return None
    share = picture[:, :, 3:].astype(np.float32) / 255.0
    mixed = (picture[:, :, :3] * share + 255.0 * (1.0 - share)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_BGR2GRAY), np.uint8)
