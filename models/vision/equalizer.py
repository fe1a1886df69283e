"""The modules of a blurred symbol: what lens, motion and screen have smeared is undone, learnt from the symbol itself.

Every symbol has modules that are known beforehand. From them a linear filter is learnt that gives each module's shade
from the samples around it, as a modem learns its line from a known preamble; its own decisions then teach it more.
Where a threshold reads 2 pixels a module, this reads 1.5, and through a blur as wide as two modules.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from models.vision.finder import QUIET, Geometry, known

Pixels = NDArray[np.uint8]

_SAMPLES = 2
"""A module, in each direction."""
_REACH = 2
"""Samples beyond the module's own that a filter sees, on each side."""
_ROUNDS = 4
_MOST_LESSONS = 1500
_RIDGE = 0.01
_SHADE_MODULES = 15
PX = 2
"""A module in the pictures that come out."""


def sharpened(y: Pixels, geometry: Geometry) -> Iterator[Pixels]:
    """Drawings of the symbol's modules as they are believed to be, each better than the one before."""
    modules = geometry.side + 2 * QUIET
    samples = _sampled(y, geometry, modules)
    is_known, shade = known(geometry.side)
    taught = is_known.copy()
    rim = QUIET - 1  # of the quiet zone, what lies next to the symbol
    taught[:rim] = taught[-rim:] = taught[:, :rim] = taught[:, -rim:] = False
    rows, columns = np.nonzero(taught)
    truth = shade[rows, columns]
    lessons = rows, columns, truth
    draw = np.random.default_rng(geometry.side)  # the same lessons on every run
    for _ in range(_ROUNDS):
        believed = _apply(samples, _learn(samples, *lessons), modules)
        picture = np.where(believed > 0, 255, 0).astype(np.uint8)
        picture[is_known] = np.where(shade[is_known] > 0, 255, 0)
        yield np.repeat(np.repeat(picture, PX, 0), PX, 1)
        sure_rows, sure_columns = np.nonzero((np.abs(believed) > 0.25) & ~is_known)
        if len(sure_rows) > _MOST_LESSONS:
            some = draw.choice(len(sure_rows), _MOST_LESSONS, replace=False)
            sure_rows, sure_columns = sure_rows[some], sure_columns[some]
        lessons = (
            np.concatenate([rows, sure_rows]),
            np.concatenate([columns, sure_columns]),
            np.concatenate([truth, np.sign(believed[sure_rows, sure_columns])]).astype(np.float32),
        )


def _sampled(y: Pixels, geometry: Geometry, modules: int) -> NDArray[np.float32]:
    """The symbol upright, _SAMPLES a module, light and shade taken out, with a rim for the filter's reach."""
    grid = np.array([(_SAMPLES, 0, QUIET * _SAMPLES - 0.5), (0, _SAMPLES, QUIET * _SAMPLES - 0.5), (0, 0, 1)])
    to_pixels = np.array([(1, 0, -0.5), (0, 1, -0.5), (0, 0, 1)]) @ geometry.matrix @ np.linalg.inv(grid)
    side = modules * _SAMPLES
    flat = cv2.warpPerspective(
        y, to_pixels, (side, side), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.float32)
    reach = (_SHADE_MODULES * _SAMPLES,) * 2
    mean = cv2.blur(flat, reach)
    spread = np.sqrt(cv2.blur((flat - mean) ** 2, reach)) + 2.0
    rim = (_REACH,) * 4
    return np.asarray(cv2.copyMakeBorder((flat - mean) / spread, *rim, cv2.BORDER_REPLICATE), np.float32)


def _learn(
    samples: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], shade: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The filter that comes nearest to the shades from the samples around them; its last entry is added."""
    taps = _SAMPLES + 2 * _REACH
    width = samples.shape[1]
    first = rows * _SAMPLES * width + columns * _SAMPLES
    around = (np.arange(taps)[:, None] * width + np.arange(taps)[None]).ravel()
    seen = np.ones((len(rows), taps * taps + 1), np.float32)
    seen[:, :-1] = samples.ravel()[first[:, None] + around[None]]
    square = seen.T @ seen
    square[np.diag_indices_from(square)] += _RIDGE * len(rows)
    return np.asarray(np.linalg.solve(square, seen.T @ shade), np.float32)


def _apply(samples: NDArray[np.float32], learnt: NDArray[np.float32], modules: int) -> NDArray[np.float32]:
    taps = _SAMPLES + 2 * _REACH
    every = cv2.filter2D(samples, -1, learnt[:-1].reshape(taps, taps), anchor=(0, 0), delta=float(learnt[-1]))
    return np.asarray(every[::_SAMPLES, ::_SAMPLES][:modules, :modules], np.float32)
