"""Codes in a picture, and where a code is that cannot be read yet.

zxing-cpp reads what has 3 pixels a module. What it misses we enlarge (that moves the limit to 2), and where a symbol
can be found by its known modules it is equalized (1.5, and through blur). Bytes come out as they are in the symbol,
text only where those bytes are UTF-8.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from models.vision.equalizer import sharpened
from models.vision.finder import Geometry, find, textured

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
TIGHT_PX = 300
"""A window up to this is enlarged three times as well."""
FINE_PX = 240
"""A window up to this is searched at twice its size as well."""
MOST_PLACES = 3
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
    located: tuple["Located", ...]


@dataclass(frozen=True, kw_only=True)
class Located:
    """A symbol that is there and cannot be read."""

    corners: Corners
    px_per_module: float | None
    """None where nobody knows how many modules it has; then it may also be something else."""


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


def _corners(position: Any, scale: float) -> Corners:
    def at(point: Any) -> Point:
        return point.x / scale, point.y / scale

    return at(position.top_left), at(position.top_right), at(position.bottom_right), at(position.bottom_left)


def _modules(version: str) -> int | None:
    return 17 + 4 * int(version) if version.isdigit() else None


def clip_region(region: Region, height: int, width: int) -> Region:
    """The part of the region that lies in the picture; its width or height may be 0."""
    x, y, w, h = region
    left, top = min(max(x, 0), width), min(max(y, 0), height)
    return left, top, max(min(x + w, width) - left, 0), max(min(y + h, height) - top, 0)


def _around(corners: Corners, times: float) -> Region:
    """A box about the corners, `times` as wide and high as they are."""
    xs, ys = zip(*corners, strict=True)
    w, h = (max(xs) - min(xs)) * times, (max(ys) - min(ys)) * times
    return round((min(xs) + max(xs) - w) / 2), round((min(ys) + max(ys) - h) / 2), round(w), round(h)


def _grown(region: Region) -> Region:
    x, y, w, h = region
    rim = 8 + max(w, h) // 12
    return x - rim, y - rim, w + 2 * rim, h + 2 * rim


def _meet(a: Region, b: Region) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _same(a: Region, b: Region) -> bool:
    return sum(abs(p - q) for p, q in zip(a, b, strict=True)) < 0.2 * (a[2] + a[3])


def _named(geometry: Geometry) -> Located:
    a, b, c, d = ((float(x), float(y)) for x, y in geometry.corners)
    return Located(corners=(a, b, c, d), px_per_module=round(side_px((a, b, c, d)) / geometry.side, 2))


def _find_fine(window: Pixels) -> Geometry | None:
    """At twice its size: a symbol too small to be read is still to be seen, and its holder told to come nearer."""
    fine = find(cv2.resize(window, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC).astype(np.uint8))
    return None if fine is None else replace(fine, matrix=np.diag((0.5, 0.5, 1.0)) @ fine.matrix)


def _shift(corners: Corners, x: int, y: int) -> Corners:
    a, b, c, d = ((px + x, py + y) for px, py in corners)
    return a, b, c, d


def _shifted(code: Code, x: int, y: int) -> Code:
    return replace(code, corners=_shift(code.corners, x, y))


def _shifted_place(one: Located, x: int, y: int) -> Located:
    return replace(one, corners=_shift(one.corners, x, y))


def _moved(look: Look, x: int, y: int) -> Look:
    return Look(
        codes=tuple(_shifted(code, x, y) for code in look.codes),
        located=tuple(_shifted_place(one, x, y) for one in look.located),
    )


def _read_already(corners: Corners, codes: Iterable[Code]) -> bool:
    x, y = (sum(part) / 4 for part in zip(*corners, strict=True))
    return any(math.dist((x, y), code.centre) < side_px(code.corners) for code in codes)


class QrReader:
    """Reads pictures, each on its own or in the order of a film: it remembers where it found something last.

    `thorough` is for stills: inverted codes and every other step, at the cost of some 50 ms where there is nothing.
    """

    ENLARGED_TURNS = 4
    """With a code in hand, enlarging only looks for a second, smaller one: every so many pictures is enough."""
    FINE_TURNS = 4
    """Of the pictures that show none, every so many is searched for symbols of less than a pixel a module."""
    INVERT_TURNS = 5
    """Of the pictures that show none, every so many is also read light on dark where a code may be, as phones in their
    dark mode show them."""
    SECOND_TURNS = 5
    """And as many are shown to the second reader."""
    SLOW_TURNS = 20
    """Very large codes, and inverted ones elsewhere, are looked for in every so many."""

    given_up = 0
    """It reads every picture to its end; whoever has a deadline puts it into a process of its own."""

    def __init__(self, *, formats: Sequence[str] = QR, thorough: bool = False, second: Reader | None = None) -> None:
        """`second` is asked where a symbol lies that we do not see; what it says is in it counts for nothing."""
        wanted: Mapping[str, Any] = zxingcpp.BarcodeFormat.__members__
        unknown = [name for name in formats if name not in wanted]
        if unknown or not formats:
            raise ValueError(f"unknown code formats {unknown}; take some of {', '.join(wanted)}")
        self._formats: Any = [wanted[name] for name in formats]
        self._squares = any(name.startswith("QRCode") for name in formats)
        self._thorough = thorough
        self._second = second
        self._turn = 0
        self._missed = 0
        self._last: Region | None = None

    def read(self, y: Pixels) -> list[Code]:
        """Every code in a luma picture."""
        return list(self.look(y).codes)

    def look(
        self, y: Pixels, region: Region | None = None, *, stirred: Sequence[Region] = (), brief: bool = False
    ) -> Look:
        """What the region shows; corners are those of the whole picture.

        `stirred` is where something has moved: elsewhere only the cheapest step looks. `brief` is that step alone.
        """
        height, width = y.shape
        left, top, w, h = clip_region(region or (0, 0, width, height), height, width)
        if not w or not h:
            return Look(codes=(), located=())
        if brief:
            codes, failed = self._decode(np.ascontiguousarray(y[top : top + h, left : left + w]), 1.0)
            return _moved(Look(codes=tuple(codes), located=tuple(failed)), left, top)
        self._turn += 1
        part = np.ascontiguousarray(y[top : top + h, left : left + w])
        moved = [clip_region((x - left, t - top, a, b), h, w) for x, t, a, b in stirred]
        look = self._still(part) if self._thorough else self._live(part, moved)
        return _moved(look, left, top)

    def _live(self, part: Pixels, stirred: Sequence[Region]) -> Look:
        codes, failed = self._decode(part, 1.0)
        again = self._turn % self.ENLARGED_TURNS == 0
        if codes and not failed and not again:
            self._missed = 0
            self._last = _around(codes[0].corners, 1.5)
            return Look(codes=tuple(codes), located=())
        if not codes:
            merge(codes, self._half(part))
        located: list[Located] = []
        if not codes or failed or again:
            located = self._near(part, codes, failed, stirred)
        if codes:
            self._missed = 0
            self._last = _around(codes[-1].corners, 1.5)
        else:
            self._missed += 1
            if self._missed % self.SLOW_TURNS == 0:
                merge(codes, self._slow(part))
        return Look(codes=tuple(codes), located=tuple(one for one in located if not _read_already(one.corners, codes)))

    def _near(
        self, part: Pixels, codes: list[Code], failed: Sequence[Located], stirred: Sequence[Region]
    ) -> list[Located]:
        """Enlarge and equalize where a symbol may be: what failed, what was there last, what has a code's texture."""
        height, width = part.shape
        located = list(failed)
        places = [(_around(one.corners, 1.4), True) for one in failed[:2]]
        if self._last is not None and not codes:
            places.append((self._last, True))
        textures = [(_grown(one.region), one.is_solid) for one in textured(part, MOST_PLACES)]
        places += [one for one in textures if not stirred or any(_meet(one[0], box) for box in stirred)]
        tried: list[Region] = []
        for place, is_likely in places:
            box = clip_region(place, height, width)
            if not box[2] or not box[3] or any(_same(box, old) for old in tried) or len(tried) == MOST_PLACES:
                continue
            tried.append(box)
            x, y, w, h = box
            window = np.ascontiguousarray(part[y : y + h, x : x + w])
            # a search costs as much as all the rest: in a film one place in each picture
            turn = self._missed // self.FINE_TURNS if self._is_fine else self._turn
            is_searched = self._turn == 1 or self._thorough or turn % min(len(places), MOST_PLACES) == len(tried) - 1
            found, unread = self._closely(window, len(tried), is_searched=is_searched, is_likely=is_likely)
            merge(codes, (_shifted(code, x, y) for code in found))
            located += [_shifted_place(one, x, y) for one in unread]
            if unread and not found:
                self._last = box
            if found and not failed:
                break
        return located

    def _closely(
        self, window: Pixels, nth: int, *, is_searched: bool, is_likely: bool
    ) -> tuple[list[Code], list[Located]]:
        """One place, enlarged, now and then light on dark or by the second reader's eye, and equalized."""
        # different scales see different symbols: a film gets one of them in each picture
        scale = 2 + (self._turn + nth) % 2 if max(window.shape) < TIGHT_PX else 2
        found, unread = self._enlarged(window, scale, LIVE_SIDE_PX)
        if not found and self._missed % self.INVERT_TURNS == self.INVERT_TURNS - 1:
            found = self._enlarged(255 - window, scale, LIVE_SIDE_PX)[0]
        if not found and self._second and self._missed % self.SECOND_TURNS == self.SECOND_TURNS // 2:
            found, seen = self._second_opinion(window, self._second)
            unread += seen
        geometry = None
        if self._squares and is_searched and not found:
            if max(window.shape) < FINE_PX and self._is_fine:
                geometry = _find_fine(window)
            elif is_likely:
                geometry = find(window)
        if geometry is not None:
            found = self._equalized(window, geometry)
            unread = unread if found else [_named(geometry)]
        return found, unread

    @property
    def _is_fine(self) -> bool:
        return self._missed % self.FINE_TURNS == self.FINE_TURNS - 1

    def _second_opinion(self, window: Pixels, second: Reader) -> tuple[list[Code], list[Located]]:
        """What we read where the second reader sees a symbol."""
        found: list[Code] = []
        unread: list[Located] = []
        for seen in second.read(window):
            x, y, w, h = clip_region(_around(seen.corners, 1.4), *window.shape)
            close = np.ascontiguousarray(window[y : y + h, x : x + w])
            for scale in (3, 4, 2) if w and h else ():
                codes, _ = self._enlarged(close, scale, LIVE_SIDE_PX)
                if codes:
                    merge(found, (_shifted(code, x, y) for code in codes))
                    break
            else:
                unread.append(Located(corners=seen.corners, px_per_module=None))
        return found, unread

    def _half(self, part: Pixels) -> list[Code]:
        """At half its size noise is halved too: a large code in the dark, for a fifth of a millisecond."""
        half: Any = cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return self._decode(half, 0.5)[0]

    def _enlarged(self, part: Pixels, scale: int, most_px: int) -> tuple[list[Code], list[Located]]:
        factor = float(min(scale, max(1.0, most_px / max(part.shape))))
        if factor < _WORTH_ENLARGING:
            return [], []  # as large as we ever make it: scale 1 has seen the same
        enlarged: Any = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        return self._decode(enlarged, factor)

    def _equalized(self, window: Pixels, geometry: Geometry) -> list[Code]:
        named = _named(geometry)
        for drawing in sharpened(window, geometry):
            codes, _ = self._decode(drawing, 1.0)
            if codes:
                return [replace(code, corners=named.corners, px_per_module=named.px_per_module) for code in codes[:1]]
        return []

    def _decode(self, picture: Any, scale: float, **options: Any) -> tuple[list[Code], list[Located]]:
        codes: list[Code] = []
        failed: list[Located] = []
        settings: dict[str, Any] = {"try_invert": False, "try_downscale": False, "return_errors": True, **options}
        for symbol in zxingcpp.read_barcodes(picture, formats=self._formats, **settings):
            corners = _corners(symbol.position, scale)
            extra: Any = symbol.extra or {}
            modules = _modules(str(extra.get("Version", "")))
            px = round(side_px(corners) / modules, 2) if modules else None
            if not symbol.valid:
                failed.append(Located(corners=corners, px_per_module=px))
                continue
            payload = bytes(symbol.bytes)
            codes.append(
                Code(format=str(symbol.format), payload=payload, text=utf8(payload), corners=corners, px_per_module=px)
            )
        return codes, failed

    def _slow(self, part: Pixels) -> list[Code]:
        """Light on dark, and the histogram of the whole instead of each place's own."""
        codes = self._decode(part, 1.0, try_invert=True, try_downscale=True)[0]
        return codes or self._decode(part, 1.0, binarizer=zxingcpp.Binarizer.GlobalHistogram)[0]

    def _still(self, part: Pixels) -> Look:
        """One step after the other, until something is read and nothing that was located is left unread."""
        codes: list[Code] = []
        located: list[Located] = []
        for found, failed in self._every_step(part):
            merge(codes, found)
            located += failed
            if codes and all(_read_already(one.corners, codes) for one in located):
                break
        unread = [one for one in located if not _read_already(one.corners, codes)]
        return Look(codes=tuple(codes), located=tuple(unread))

    def _every_step(self, part: Pixels) -> Iterator[tuple[list[Code], list[Located]]]:
        yield self._decode(part, 1.0, try_invert=True, try_downscale=True)
        yield self._half(part), []
        codes: list[Code] = []
        yield codes, self._near(part, codes, (), ())
        for again in (part, cv2.GaussianBlur(part, (0, 0), 1.5)):
            yield self._decode(again, 1.0, binarizer=zxingcpp.Binarizer.GlobalHistogram)[0], []
        for scale in (2, 3):
            found, _ = self._enlarged(part, scale, STILL_SIDE_PX)
            yield found, []
        half: Any = cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        yield self._decode(half, 0.5, try_invert=True)[0], []


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
