"""Symbols found by what is known of every symbol."""

import cv2
import numpy as np
import pytest
import segno
from segno import consts

from models.vision.finder import QUIET, find, known, textured

DATA = {consts.TYPE_DATA_DARK, consts.TYPE_DATA_LIGHT, consts.TYPE_FORMAT_DARK, consts.TYPE_FORMAT_LIGHT}


def drawn(text: str, *, px: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    code = segno.make_qr(text, error="m")
    light = np.array([[0 if dark else 255 for dark in row] for row in code.matrix_iter(border=QUIET)], np.uint8)
    return np.repeat(np.repeat(light, px, 0), px, 1)


@pytest.mark.parametrize("version", range(1, 41))
def test_the_known_modules_are_those_of_another_writer_of_codes(version: int) -> None:
    code = segno.make_qr("A", version=version, error="l")
    kinds = list(code.matrix_iter(verbose=True, border=QUIET))
    shades = [list(row) for row in code.matrix_iter(border=QUIET)]
    is_known, shade = known(17 + 4 * version)
    for row, line in enumerate(kinds):
        for column, kind in enumerate(line):
            assert is_known[row, column] == (kind not in DATA), (row, column)
            if is_known[row, column]:
                assert shade[row, column] == (-1 if shades[row][column] else 1), (row, column)


@pytest.mark.parametrize("turn", [0, 17, 45, 100, 200, 300])
def test_a_small_blurred_symbol_is_found_at_every_turn(turn: int) -> None:
    code = drawn("0123456789AB" * 8, px=8)
    scale = 1.8 / 8
    matrix = cv2.getRotationMatrix2D((code.shape[1] / 2, code.shape[0] / 2), turn, scale)
    matrix[0, 2] += 90 - code.shape[1] / 2
    matrix[1, 2] += 90 - code.shape[0] / 2
    small = cv2.warpAffine(cv2.GaussianBlur(code, (0, 0), 4.0), matrix, (180, 180), borderValue=(255,))
    geometry = find(cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.uint8))
    assert geometry is not None
    assert geometry.side == code.shape[0] // 8 - 2 * QUIET
    corner = matrix @ np.array([8 * QUIET, 8 * QUIET, 1.0])
    assert geometry.corners[0] == pytest.approx(corner, abs=1.5)


def test_noise_and_stripes_are_no_symbol() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200)).astype(np.uint8)
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 3), (200, 34))[:, :200]
    assert find(noise) is None
    assert find(np.ascontiguousarray(stripes)) is None
    assert find(np.full((20, 20), 90, np.uint8)) is None


def test_the_textured_place_is_where_the_code_is() -> None:
    picture = np.full((400, 600), 120, np.uint8)
    code = drawn("0123456789AB" * 4, px=4)
    picture[100 : 100 + code.shape[0], 300 : 300 + code.shape[1]] = code
    (place, *_) = textured(picture, 3)
    x, y, w, h = place.region
    assert place.is_solid
    assert x <= 316 and y <= 116 and x + w >= 284 + code.shape[1] and y + h >= 84 + code.shape[0]  # noqa: PT018
    assert textured(np.full((400, 600), 120, np.uint8), 3) == []
    assert textured(np.full((9, 9), 120, np.uint8), 3)
