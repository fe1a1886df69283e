"""Codes in a picture, and where a code is that cannot be read yet.

What moves the limit from 3 to 2 pixels per module is enlarging (x2, x3 cubic), not filtering. Bytes come out as they
are in the symbol, text only where those bytes are UTF-8.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

cv2.setNumThreads(1)

Pixels = NDArray[np.uint8]
Point = tuple[float, float]
Corners = tuple[Point, Point, Point, Point]
Region = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

QR = ("QRCodeModel2",)
"""Codes of phones and cards. The whole QR family (micro, rectangular) takes twice the time."""
LIVE_SIDE_PX = 1440
STILL_SIDE_PX = 4500
_WORTH_ENLARGING = 1.25


@dataclass(frozen=True, kw_only=True)
class Code:
    format: str
    payload: bytes
    text: str | None
    """The payload as UTF-8, None where it is not."""
    corners: Corners
    """Top left, top right, bottom right, bottom left of the symbol, pixels of the picture given."""
    px_per_module: float | None
    """None where the symbol does not say how many modules it has."""

    @property
    def centre(self) -> Point:
        return sum(x for x, _ in self.corners) / 4, sum(y for _, y in self.corners) / 4


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one picture showed: codes read, and corners of symbols that were seen but not read."""

    codes: tuple[Code, ...]
    located: tuple[Corners, ...]


class Reader(Protocol):
    def read(self, y: Pixels) -> list[Code]: ...


def side_px(corners: Corners) -> float:
    """The mean length of a symbol's four sides."""
    return sum(math.dist(a, b) for a, b in pairwise((*corners, corners[0]))) / 4


def utf8(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def _corners(position: Any, scale: float, x: int, y: int) -> Corners:
    def at(point: Any) -> Point:
        return point.x / scale + x, point.y / scale + y

    return at(position.top_left), at(position.top_right), at(position.bottom_right), at(position.bottom_left)


def _modules(version: str) -> int | None:
    return 17 + 4 * int(version) if version.isdigit() else None


def clip_region(region: Region, height: int, width: int) -> Region:
    """The part of the region that lies in the picture; its width or height may be 0."""
    x, y, w, h = region
    left, top = min(max(x, 0), width), min(max(y, 0), height)
    return left, top, max(min(x + w, width) - left, 0), max(min(y + h, height) - top, 0)


class QrReader:
    """zxing-cpp with our ladder of scales. `thorough` is for stills: every step, at the cost of some 50 ms."""

    def __init__(self, *, formats: Sequence[str] = QR, thorough: bool = False) -> None:
        wanted: Mapping[str, Any] = zxingcpp.BarcodeFormat.__members__
        unknown = [name for name in formats if name not in wanted]
        if unknown or not formats:
            raise ValueError(f"unknown code formats {unknown}; take some of {', '.join(wanted)}")
        self._formats: Any = [wanted[name] for name in formats]
        self._thorough = thorough

    def read(self, y: Pixels) -> list[Code]:
        """Every code in a luma picture."""
        if not self._thorough:
            return list(self.look(y).codes)
        found: list[Code] = []
        for codes in self._every_step(y):
            merge(found, codes)
        return found

    def look(self, y: Pixels, region: Region | None = None, *, scales: Sequence[int] = (1, 2, 3)) -> Look:
        """The first of the scales that reads something in the region; corners are those of the whole picture."""
        height, width = y.shape
        left, top, w, h = clip_region(region or (0, 0, width, height), height, width)
        located: list[Corners] = []
        if w and h:
            part = np.ascontiguousarray(y[top : top + h, left : left + w])
            for scale in scales:
                codes, failed = self._at(part, scale, left, top, LIVE_SIDE_PX)
                located += failed
                if codes:
                    return Look(codes=tuple(codes), located=tuple(located))
        return Look(codes=(), located=tuple(located))

    def _at(self, part: Pixels, scale: int, x: int, y: int, side_px: int) -> tuple[list[Code], list[Corners]]:
        factor = float(min(scale, max(1.0, side_px / max(part.shape))))
        if factor < scale and factor < _WORTH_ENLARGING:
            return [], []  # as large as we ever make it: scale 1 has seen the same
        bigger = part if factor == 1.0 else cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        return self._decode(bigger, factor, x, y)

    def _decode(
        self, picture: Any, scale: float, x: int = 0, y: int = 0, **options: Any
    ) -> tuple[list[Code], list[Corners]]:
        codes: list[Code] = []
        failed: list[Corners] = []
        settings: dict[str, Any] = {"try_invert": False, "try_downscale": False, "return_errors": True, **options}
        for symbol in zxingcpp.read_barcodes(picture, formats=self._formats, **settings):
            corners = _corners(symbol.position, scale, x, y)
            if not symbol.valid:
                failed.append(corners)
                continue
            payload = bytes(symbol.bytes)
            extra: Any = symbol.extra
            modules = _modules(str(extra.get("Version", "")))
            codes.append(
                Code(
                    format=str(symbol.format),
                    payload=payload,
                    text=utf8(payload),
                    corners=corners,
                    px_per_module=round(side_px(corners) / modules, 2) if modules else None,
                )
            )
        return codes, failed

    def _every_step(self, y: Pixels) -> Iterator[list[Code]]:
        picture = np.ascontiguousarray(y)
        yield self._decode(picture, 1.0, try_invert=True, try_downscale=True)[0]
        for scale in (2, 3):
            yield self._at(picture, scale, 0, 0, STILL_SIDE_PX)[0]
        half: Any = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        yield self._decode(half, 0.5, try_invert=True)[0]
        for again in (picture, cv2.GaussianBlur(picture, (0, 0), 1.5)):
            yield self._decode(again, 1.0, binarizer=zxingcpp.Binarizer.GlobalHistogram)[0]


def merge(found: list[Code], more: Iterable[Code]) -> None:
    """Add to `found` what is not in it: another payload, or the same payload at another place."""
    for code in more:
        x, y = code.centre
        known = any(
            code.payload == old.payload and abs(x - old.centre[0]) + abs(y - old.centre[1]) < side_px(old.corners)
            for old in found
        )
        if not known:
            found.append(code)


class PyzbarReader:
    """A second opinion behind the same face. It guesses charsets and may corrupt UTF-8: no watch takes its text."""

    def __init__(self) -> None:
        try:
            from pyzbar import pyzbar  # noqa: PLC0415  (optional: it needs libzbar of the system)
        except ImportError as error:
            raise RuntimeError("pyzbar cannot load libzbar; install it: apt-get install libzbar0") from error
        self._pyzbar = pyzbar

    def read(self, y: Pixels) -> list[Code]:
        try:
            symbols = self._pyzbar.decode(np.ascontiguousarray(y), symbols=[self._pyzbar.ZBarSymbol.QRCODE])
        except ValueError:  # it cannot name an orientation that the library gives it
            return []
        codes = []
        for symbol in symbols:
            if len(symbol.polygon) != 4:
                continue
            a, b, c, d = ((float(point.x), float(point.y)) for point in symbol.polygon)
            payload = bytes(symbol.data)
            codes.append(
                Code(format="QR Code", payload=payload, text=utf8(payload), corners=(a, b, c, d), px_per_module=None)
            )
        return codes
