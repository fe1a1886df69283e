import os
import signal
import time

import cv2
import numpy as np
import psutil
import pytest
import segno
from numpy.typing import NDArray

from edge.eyes.reader import DEADLINE_S, GuardedReader
from models.vision.qr import QrReader

Pixels = NDArray[np.uint8]


def held_up(text: str, size: tuple[int, int] = (720, 1280)) -> Pixels:
    symbol = segno.make_qr(text, error="m")
    modules = np.array([[0 if dark else 255 for dark in row] for row in symbol.matrix], np.uint8)
    code = np.kron(np.pad(modules, 4, constant_values=255), np.ones((5, 5), np.uint8))
    picture = np.full(size, 120, np.uint8)
    picture[40 : 40 + code.shape[0], 60 : 60 + code.shape[1]] = code
    return picture


def a_wall_of_finder_patterns() -> Pixels:
    finder = np.array(
        [[0 if max(abs(x - 3), abs(y - 3)) in {0, 1, 3} else 255 for x in range(7)] for y in range(7)], np.uint8
    )
    tile = np.kron(np.pad(finder, 1, constant_values=255), np.ones((2, 2), np.uint8))
    wall = np.tile(tile, (1080 // tile.shape[0] + 1, 1920 // tile.shape[1] + 1))[:1080, :1920]
    return np.ascontiguousarray(wall)


def children() -> list[int]:
    return [one.pid for one in psutil.Process().children(recursive=True)]


@pytest.fixture(scope="module")
def reader() -> GuardedReader:
    return GuardedReader()


def test_it_sees_what_a_reader_without_a_guard_sees(reader: GuardedReader) -> None:
    picture = held_up("0123456789|An")
    seen, plain = reader.look(picture), QrReader().look(picture)
    assert [(code.payload, code.text) for code in seen.codes] == [(b"0123456789|An", "0123456789|An")]
    assert seen == plain


def test_a_larger_picture_than_before_is_read_as_well(reader: GuardedReader) -> None:
    assert [code.text for code in reader.look(held_up("small", (400, 400))).codes] == ["small"]
    assert [code.text for code in reader.look(held_up("large", (1440, 2560))).codes] == ["large"]


def test_a_region_is_looked_at_alone(reader: GuardedReader) -> None:
    picture = held_up("somewhere")
    assert reader.look(picture, (640, 0, 640, 720)).codes == ()
    assert [code.text for code in reader.look(picture, (0, 0, 640, 720)).codes] == ["somewhere"]


def test_a_picture_that_holds_it_up_is_given_up_and_the_next_is_read() -> None:
    reader = GuardedReader()
    wall = a_wall_of_finder_patterns()
    began = time.process_time()
    QrReader().look(wall)
    assert time.process_time() - began > 2 * DEADLINE_S, "the wall is no hold-up any more: build a worse one"
    assert reader.look(wall).codes == ()
    assert reader.given_up == 1
    assert [code.text for code in reader.look(held_up("next")).codes] == ["next"]
    assert reader.given_up == 1


def test_a_reader_that_died_or_hangs_is_replaced() -> None:
    reader = GuardedReader()
    picture = held_up("again")
    assert reader.look(picture).codes
    for deadly in (signal.SIGKILL, signal.SIGSTOP):
        os.kill(reader._pid, deadly)
        assert reader.look(picture).codes == ()
        assert [code.text for code in reader.look(picture).codes] == ["again"]
    assert reader.given_up == 2


def test_no_reader_outlives_its_owner() -> None:
    reader = GuardedReader()
    child = reader._pid
    assert psutil.pid_exists(child)
    del reader
    assert not psutil.pid_exists(child)


def test_the_second_reader_lives_in_the_same_child_and_changes_no_text() -> None:
    reader = GuardedReader(with_second=True)
    assert [code.text for code in reader.look(held_up("Võ Anh Yến")).codes] == ["Võ Anh Yến"]
    blurred = cv2.GaussianBlur(held_up("Võ Anh Yến", (360, 480)), (0, 0), 9.0).astype(np.uint8)
    assert all(reader.look(blurred).codes == () for _ in range(6)), "it is asked in the third of these"
    assert [code.text for code in reader.look(held_up("Võ Anh Yến")).codes] == ["Võ Anh Yến"]
