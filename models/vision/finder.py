"""Where a QR symbol lies that no library sees yet: three finder patterns, a fourth corner, and how many modules.

A symbol of one and a half pixels a module, or one that is out of focus, still shows its three bull's eyes as blots.
They are found by correlation, joined to a geometry, and the geometry is moved until all modules that every symbol of
that size has (finders, timing, alignment) lie on what the picture shows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]
Region = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

QUIET = 4
"""Modules of light around every symbol."""
_MOST_SIDE = 105
"""Modules: a picture that holds a larger symbol shows it in larger modules than are searched."""
_CELL_PX = 8
_DIM = 30.0
"""Where nothing changes by more, a byte is too coarse for the mean of a change."""
_BLOT_PX = 1.9
"""A module in the picture in which finder patterns are searched, at most."""
_SIZES_PX = (1.05, 1.4, 1.9, 2.5, 3.3, 4.4, 5.8)
"""Of a module, as far as they are searched: a step is what the correlation forgives."""
_LEAST_SOLID = 0.7
_LEAST_BLOT = 0.42
_MOST_BLOTS = 14
_MOST_TRIPLES = 60
_MOST_STARTS = 16
_MOST_PILOTS = 450
_LEAST_START = 0.6
"""Before its corners are moved; what is no symbol starts at 0.3 to 0.6."""
_LEAST_FIT = 0.9
"""What is no symbol fits by 0.3 to 0.8, a symbol by 1.1 to 2."""


def textured(y: Pixels, most: int) -> list["Texture"]:
    """The places that change in both directions within a few pixels, as codes, text and leaves do; densest first."""
    height, width = y.shape
    rows, columns = (height - 1) // _CELL_PX, (width - 1) // _CELL_PX
    if rows < 4 or columns < 4:
        return [Texture((0, 0, width, height), is_solid=True)]
    h, w = rows * _CELL_PX, columns * _CELL_PX
    # two rows of eight have the same texture; of the steps downward both kinds, for a drawing whose modules are an even
    # number of pixels has all its edges on one of them
    across = cv2.absdiff(y[:h:4, 1 : w + 1], y[:h:4, :w])
    down = cv2.absdiff(y[1:h:4, :w], y[:h:4, :w]), cv2.absdiff(y[4 : h + 1 : 4, :w], y[3:h:4, :w])
    changes = across, cv2.addWeighted(down[0], 0.5, down[1], 0.5, 0.0)
    both = _cells(changes, (columns, rows))
    if float(both.max()) < _DIM:
        both = _cells([cv2.convertScaleAbs(change, alpha=8.0) for change in changes], (columns, rows))
    both = np.asarray(cv2.blur(both, (5, 5)), np.float32)
    floor = float(np.median(both))
    found: list[Texture] = []
    for _ in range(2 * most):
        _, peak, _, (x, t) = cv2.minMaxLoc(both)
        if peak < 1.15 * floor + 1.0 or len(found) == most:
            break
        like = (both > floor + 0.5 * (peak - floor)).astype(np.uint8)
        left, top, w, h = cv2.floodFill(like, None, (x, t), 2)[3]
        mask = like[top : top + h, left : left + w] == 2
        both[top : top + h, left : left + w][mask] = 0.0
        if w * h < 12:
            continue
        grown = 2  # the blur above has eaten the rim
        x0, y0 = max(left - grown, 0), max(top - grown, 0)
        x1, y1 = min(left + w + grown, columns), min(top + h + grown, rows)
        region = (x0 * _CELL_PX, y0 * _CELL_PX, (x1 - x0) * _CELL_PX, (y1 - y0) * _CELL_PX)
        found.append(Texture(region, _is_solid(mask)))
    return found


def _is_solid(mask: NDArray[np.bool_]) -> bool:
    """Whether the cells fill a rectangle of some turn that is not too long, as a symbol does even when it is tilted."""
    ys, xs = np.nonzero(mask)
    _, (a, b), _ = cv2.minAreaRect(np.stack([xs, ys], 1).astype(np.float32))
    a, b = a + 1.0, b + 1.0
    return len(xs) > _LEAST_SOLID * a * b and max(a, b) < 2.6 * min(a, b)


@dataclass(frozen=True)
class Texture:
    region: Region
    is_solid: bool


def _cells(changes: Sequence[NDArray[Any]], size: tuple[int, int]) -> NDArray[np.float32]:
    across, down = (cv2.resize(change, size, interpolation=cv2.INTER_AREA) for change in changes)
    return cv2.min(across, down).astype(np.float32)


@lru_cache(maxsize=40)
def known(side: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Modules that every symbol of this side has, and their shade (light 1, dark -1), the quiet zone included."""
    version = (side - 17) // 4
    shade = np.full((side, side), 1.0, np.float32)
    is_known = np.zeros((side, side), np.bool_)
    for i in range(8, side - 8):
        shade[6, i] = shade[i, 6] = 1.0 if i % 2 else -1.0
        is_known[6, i] = is_known[i, 6] = True
    for x, y in ((3, 3), (side - 4, 3), (3, side - 4)):
        _square(shade, is_known, (x, y), rings=(0, 1, 3, 4))
    shade[side - 8, 8] = -1.0
    is_known[side - 8, 8] = True
    for x, y in product(_alignment(version), repeat=2):
        if (x, y) not in {(6, 6), (6, side - 7), (side - 7, 6)}:
            _square(shade, is_known, (x, y), rings=(0, 2))
    for i in range(18 if version >= 7 else 0):
        row, column = i // 3, side - 11 + i % 3
        shade[row, column] = shade[column, row] = -1.0 if _version_bits(version) >> i & 1 else 1.0
        is_known[row, column] = is_known[column, row] = True
    return np.pad(is_known, QUIET, constant_values=True), np.pad(shade, QUIET, constant_values=1.0)


def _square(
    shade: NDArray[np.float32], is_known: NDArray[np.bool_], centre: tuple[int, int], *, rings: tuple[int, ...]
) -> None:
    """Dark rings around a centre; the last one of a finder pattern (4) is its light separator."""
    x, y = centre
    reach = rings[-1]
    rows, columns = np.mgrid[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    inside = (rows < len(shade)) & (columns < len(shade))
    rows, columns = rows[inside], columns[inside]
    ring = np.maximum(abs(rows - y), abs(columns - x))
    shade[rows, columns] = np.where(np.isin(ring, rings) & (ring != 4), -1.0, 1.0)
    is_known[rows, columns] = True


def _alignment(version: int) -> list[int]:
    if version == 1:
        return []
    count = version // 7 + 2
    last = 4 * version + 10
    step = 26 if version == 32 else -(-(last - 6) // (2 * (count - 1))) * 2
    return [6, *sorted(last - i * step for i in range(count - 1))]


def _version_bits(version: int) -> int:
    rest = version << 12
    for i in range(17, 11, -1):
        if rest >> i & 1:
            rest ^= 0x1F25 << (i - 12)
    return version << 12 | rest


@dataclass(frozen=True)
class Geometry:
    """Where a symbol lies: its side in modules and the homography from modules to pixels."""

    side: int
    matrix: NDArray[np.float64]
    fit: float
    """How well the known modules lie on the picture: 1 is a drawing, 0 is chance."""

    @property
    def corners(self) -> Points:
        """Top left, top right, bottom right, bottom left."""
        n = float(self.side)
        return _project(self.matrix, np.array([(0, 0), (n, 0), (n, n), (0, n)], np.float32))


def _project(matrix: NDArray[Any], points: Points) -> Points:
    return np.asarray(cv2.perspectiveTransform(points[None].astype(np.float64), matrix)[0], np.float32)


@lru_cache(maxsize=16)
def _blot(module_px: float) -> NDArray[np.float32]:
    """A finder pattern as it is on average over all rotations, out of focus a little."""
    reach = max(round(4.4 * module_px), 4)
    at = np.arange(-reach, reach + 1, dtype=np.float32) / module_px
    x, y = np.meshgrid(at, at)
    total = np.zeros_like(x)
    for turn in np.linspace(0.0, math.pi / 2, 12, endpoint=False):
        ring = np.maximum(abs(x * math.cos(turn) + y * math.sin(turn)), abs(y * math.cos(turn) - x * math.sin(turn)))
        total += np.where((ring < 1.5) | ((ring >= 2.5) & (ring < 3.5)), 0.0, 1.0)
    return np.asarray(cv2.GaussianBlur(total, (0, 0), 0.35 * module_px), np.float32)


def _blots(y: Pixels) -> NDArray[np.float32]:
    """Rows of x, y, size of a module, likeness: the best places for a finder pattern."""
    xs, ys, sizes, likes = [], [], [], []
    picture = y
    least_px = 0.5 * max(y.shape) / _MOST_SIDE
    for size in (size for size in _SIZES_PX if size * 1.2 > least_px):
        scale = min(1.0, _BLOT_PX / size)
        if scale < 1.0:
            shape = (round(y.shape[1] * scale), round(y.shape[0] * scale))
            picture = cv2.resize(y, shape, interpolation=cv2.INTER_AREA).astype(np.uint8)
        blot = _blot(round(size * scale, 3))
        if min(picture.shape) < 3 * blot.shape[0]:
            break
        like = cv2.matchTemplate(picture.astype(np.float32), blot, cv2.TM_CCOEFF_NORMED)
        top = cv2.dilate(like, np.ones((5, 5), np.uint8))
        at_y, at_x = np.nonzero((like >= top) & (like > _LEAST_BLOT))
        strength = like[at_y, at_x]
        best = np.argsort(-strength)[:_MOST_BLOTS]
        at_y, at_x = at_y[best], at_x[best]
        dx, dy = _between(like, at_y, at_x)
        middle = blot.shape[0] // 2 + 0.5
        xs.append((at_x + dx + middle) * (y.shape[1] / picture.shape[1]))
        ys.append((at_y + dy + middle) * (y.shape[0] / picture.shape[0]))
        sizes.append(np.full(len(best), size))
        likes.append(strength[best])
    if not xs:
        return np.empty((0, 4), np.float32)
    rows = np.stack([np.concatenate(part) for part in (xs, ys, sizes, likes)], 1).astype(np.float32)
    rows = rows[np.argsort(-rows[:, 3])]
    far = np.hypot(*(rows[:, None, :2] - rows[None, :, :2]).transpose(2, 0, 1))
    near = far < 2.5 * np.minimum(rows[:, None, 2], rows[None, :, 2])
    kept: list[int] = []
    for i in range(len(rows)):
        if not near[i, kept].any():
            kept.append(i)
    rows = rows[kept[:_MOST_BLOTS]]
    return np.asarray(rows, np.float32)


def _between(like: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where between the pixels the tops lie."""
    padded = cv2.copyMakeBorder(like, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    y, x = rows + 1, columns + 1
    at = padded[y, x]

    def vertex(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(0.5 * (before - after) / np.minimum(before - 2 * at + after, -1e-6))

    dx = vertex(padded[y, x - 1], padded[y, x + 1])
    return dx.clip(-0.5, 0.5), vertex(padded[y - 1, x], padded[y + 1, x]).clip(-0.5, 0.5)


def find(y: Pixels) -> Geometry | None:
    """The symbol whose known modules fit the picture best. For the surroundings of one symbol."""
    blots = _blots(y)
    chosen = _triples(len(blots))
    a, b, c = (blots[one] for one in chosen)
    if not len(a):
        return None
    u, v = b[:, :2] - a[:, :2], c[:, :2] - a[:, :2]
    along, down = np.hypot(*u.T), np.hypot(*v.T)
    sine = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / (along * down)  # negative in a mirror image
    sizes = np.stack([a[:, 2], b[:, 2], c[:, 2]])
    size = np.median(sizes, 0)
    modules = np.maximum(along, down) / size + 7
    fits = (sine > 0.45) & (np.abs(np.log(along / down)) < 0.9) & (sizes.max(0) < 2.0 * sizes.min(0))
    likely = np.nonzero(fits & (modules > 19) & (modules < 190))[0]
    strength = (a[:, 3] + b[:, 3] + c[:, 3] + 0.3 * sine)[likely]
    likely = likely[np.argsort(-strength)[:_MOST_TRIPLES]]
    if not len(likely):
        return None
    even = _evened(y)
    beats = _beats(even, a=a[likely, :2], u=u[likely], v=v[likely], size=size[likely], modules=modules[likely])
    by_side: dict[int, list[int]] = {}
    for row in np.argsort(-beats.max(1))[:_MOST_STARTS]:
        for side in np.argsort(-beats[row])[:2]:
            by_side.setdefault(_SIDES[int(side)], []).append(int(likely[row]))
    starts: list[tuple[float, int, NDArray[np.float32]]] = []
    for side, those in by_side.items():
        p, q, r = a[those, :2], b[those, :2], c[those, :2]
        quads = np.stack([p, q, q + r - p, r], 1).astype(np.float32)
        starts += [(float(score), side, quad) for score, quad in zip(_scores(even, side, quads), quads, strict=True)]
    best = max(starts, key=lambda start: start[0], default=None)
    if best is None or best[0] < _LEAST_START:
        return None
    geometry = _climb(even, *best)
    return geometry if geometry.fit > _LEAST_FIT else None


_SIDES = tuple(range(21, 178, 4))
_BEAT_SAMPLES = 224


@lru_cache(maxsize=1)
def _waves() -> NDArray[np.float32]:
    """Sine and cosine of the timing line of each side between two finder centres, nothing where the finders lie."""
    t = np.linspace(0.0, 1.0, _BEAT_SAMPLES, dtype=np.float32)
    rows = []
    for side in _SIDES:
        module = t * (side - 7)
        inside = (module > 5) & (module < side - 12)
        for wave in (np.sin, np.cos):
            row = np.where(inside, wave(np.pi * module), 0.0)
            rows.append(row - inside * row.sum() / inside.sum())
    return np.array(rows, np.float32) / np.float32(1.0)


@lru_cache(maxsize=1)
def _inside() -> NDArray[np.float32]:
    return (np.abs(_waves()[::2]) + np.abs(_waves()[1::2]) > 0).astype(np.float32)


def _beat(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of a line's variation that beats once a module, for each side; 1 is a pure beat."""
    strength = seen @ _waves().T
    inside = _inside()
    count = inside.sum(1)[None]
    mean = seen @ inside.T / count
    power = (seen * seen) @ inside.T / count - mean**2
    amplitude = np.hypot(strength[:, ::2], strength[:, 1::2]) * 2 / count
    return np.asarray(amplitude / np.sqrt(2 * np.maximum(power, 0.05)), np.float32)


def _beats(
    even: NDArray[np.float32], *, a: Points, u: Points, v: Points, size: NDArray[Any], modules: NDArray[Any]
) -> NDArray[np.float32]:
    """For each triple and each side: how strongly both timing lines beat once a module. Its phase does not matter."""
    t = np.linspace(0.0, 1.0, _BEAT_SAMPLES, dtype=np.float32)
    sides = np.array(_SIDES, np.float32)
    total = np.zeros((len(a), len(sides)), np.float32)
    for line, across in ((u, v), (v, u)):
        unit = across / np.hypot(*across.T)[:, None]
        best = np.zeros_like(total)
        for offset in (2.7, 3.2):
            start = a + offset * size[:, None] * unit
            at = start[:, None, :] + t[None, :, None] * line[:, None, :]
            at = at.astype(np.float32) - 0.5
            seen = cv2.remap(even, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            best = np.maximum(best, _beat(np.asarray(seen, np.float32)))
        total += best
    wide = np.maximum(4.5, 0.16 * modules)[:, None]
    total[np.abs(sides[None] - modules[:, None]) > wide] = 0.0
    return np.asarray(total / 2, np.float32)


@lru_cache(maxsize=16)
def _triples(count: int) -> NDArray[np.intp]:
    return np.array(list(permutations(range(count), 3)), np.intp).reshape(-1, 3).T


def _evened(y: Pixels) -> NDArray[np.float32]:
    """Light and shade taken out: how much lighter a pixel is than its surroundings, in their spread."""
    picture = y.astype(np.float32)
    reach = (31, 31)
    mean = cv2.blur(picture, reach)
    spread = np.sqrt(np.maximum(cv2.blur(picture * picture, reach) - mean * mean, 4.0))
    return np.asarray((picture - mean) / spread, np.float32)


@lru_cache(maxsize=40)
def _pilots(side: int) -> tuple[Points, NDArray[np.float32]]:
    """Centres of the known modules (the quiet zone's inner ring only) and what is known of them, summing to zero."""
    is_known, shade = known(side)
    inner = is_known.copy()
    inner[: QUIET - 1] = inner[-QUIET + 1 :] = inner[:, : QUIET - 1] = inner[:, -QUIET + 1 :] = False
    ys, xs = np.nonzero(inner)
    value = shade[ys, xs]
    if len(value) > _MOST_PILOTS:
        some = np.linspace(0, len(value) - 1, _MOST_PILOTS).astype(int)
        xs, ys, value = xs[some], ys[some], value[some]
    light = value > 0
    value = np.where(light, 1.0 / light.sum(), -1.0 / (~light).sum()).astype(np.float32)
    return np.stack([xs, ys], 1).astype(np.float32) - (QUIET - 0.5), value


def _scores(even: NDArray[np.float32], side: int, corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each set of four corners (finder centres and their fourth), how far light and dark modules lie apart."""
    points, value = _pilots(side)
    seen_from = np.concatenate([points, np.ones((len(points), 1), np.float32)], 1)
    there = seen_from @ _homographies(_plane(side), corners).transpose(0, 2, 1).astype(np.float32)
    x, y = there[..., 0] / there[..., 2] - 0.5, there[..., 1] / there[..., 2] - 0.5
    seen = cv2.remap(even, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen @ value, np.float32)


def _homographies(plane: Points, corners: NDArray[np.float32]) -> NDArray[np.float64]:
    """For each four corners, the matrix that takes the plane's four to them."""
    x, y = plane.T.astype(np.float64)
    u, v = corners[..., 0].astype(np.float64), corners[..., 1].astype(np.float64)
    left = np.zeros((len(corners), 8, 8))
    left[:, :4, 0], left[:, :4, 1], left[:, :4, 2] = x, y, 1.0
    left[:, 4:, 3], left[:, 4:, 4], left[:, 4:, 5] = x, y, 1.0
    left[:, :4, 6], left[:, :4, 7] = -x * u, -y * u
    left[:, 4:, 6], left[:, 4:, 7] = -x * v, -y * v
    solved = np.linalg.solve(left, np.concatenate([u, v], 1)[..., None])[..., 0]
    return np.concatenate([solved, np.ones((len(corners), 1))], 1).reshape(-1, 3, 3)


def _climb(even: NDArray[np.float32], score: float, side: int, quad: NDArray[np.float32]) -> Geometry:
    """Move the corners, the fourth one first and farthest, as long as the known modules fit better."""
    unit = math.dist(quad[0], quad[1]) / (side - 7)
    for steps in (np.arange(-4.0, 4.1, 2.0) * unit,):
        moves = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2).astype(np.float32)
        tries = np.repeat(quad[None], len(moves), 0)
        tries[:, 2] += moves
        score, quad = _best(even, side, tries, score, quad)
    step = 0.7 * unit
    while step > 0.12 * unit:
        tries = np.repeat(quad[None], 16, 0)
        for i in range(16):
            tries[i, i // 4] += ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step))[i % 4]
        before = score
        score, quad = _best(even, side, tries, score, quad)
        if score == before:
            step /= 2
    return Geometry(side, _homographies(_plane(side), quad[None])[0], score)


def _best(
    even: NDArray[np.float32], side: int, tries: NDArray[np.float32], score: float, quad: NDArray[np.float32]
) -> tuple[float, NDArray[np.float32]]:
    scores = _scores(even, side, tries)
    top = int(scores.argmax())
    return (float(scores[top]), tries[top]) if scores[top] > score else (score, quad)


def _plane(side: int) -> NDArray[np.float32]:
    """The centres of the finder patterns and their fourth, in modules."""
    n = float(side)
    return np.array([(3.5, 3.5), (n - 3.5, 3.5), (n - 3.5, n - 3.5), (3.5, n - 3.5)], np.float32)
