"""A still yard, and several cameras that want the same detector."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.eyes.frame import Frame
from edge.eyes.seat import Seat, Stale, Turns
from edge.eyes.watches.bodies import Bodies
from edge.settings import Camera
from models.vision.detector import Detections, Detector, named

CHANCE = np.random.default_rng(3)


@pytest.fixture(scope="module")
def detector() -> Detector:
    path = named("auto")
    assert path is not None, "our own weights are in the tree"
    return Detector(path, least_score=0.1)


def seat(detector: Detector, turns: Turns | None = None, *, again_s: float = 1.0) -> Seat:
    return Seat(detector, turns or Turns(), far_px=60, due_s=0.125, again_s=again_s)


def yard(walker_x: int | None = None) -> NDArray[np.uint8]:
    picture = CHANCE.normal(120, 2, (360, 640))
    if walker_x is not None:
        picture[150:240, walker_x : walker_x + 30] = 40
    return picture.clip(0, 255).astype(np.uint8)


def frame(y: NDArray[np.uint8], stream_s: float) -> Frame:
    return coloured(np.repeat(y[:, :, None], 3, axis=2), stream_s)


def coloured(picture: NDArray[np.uint8], stream_s: float) -> Frame:
    y = np.ascontiguousarray(picture[:, :, 1])
    now, arrived_s = datetime.now(UTC), time.monotonic()
    return Frame(
        camera="cam", y=y, stream_s=stream_s, arrived_s=arrived_s, seen_at=now, corrupt=False, bgr=lambda: picture
    )


def ask(one: Seat, picture: Frame) -> Callable[[], Detections]:
    return lambda: one.detect(picture.bgr(), person_px=85)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true() and time.monotonic() < ends:
        time.sleep(0.002)
    assert true()


def test_whose_answer_is_due_first_goes_first() -> None:
    turns, served = Turns(), list[float]()
    assert turns.take(0.0)

    def wait(due_s: float) -> None:
        turns.take(due_s)
        served.append(due_s)
        turns.give()

    threads = []
    for number, due_s in enumerate((3.0, 1.0, 2.0), start=1):
        threads.append(threading.Thread(target=wait, args=(due_s,)))
        threads[-1].start()
        until(lambda number=number: turns.waiting == number)  # type: ignore[misc]
    turns.give()
    for thread in threads:
        thread.join()
    assert served == [1.0, 2.0, 3.0]


def test_a_street_gets_its_turn_beside_yards_that_want_all_of_them() -> None:
    turns, clock, ended = Turns(), itertools.count(), threading.Event()
    now = [0]
    between: list[int] = []

    def look() -> None:
        now[0] = next(clock)
        turns.give()

    def guard() -> None:
        while not ended.is_set():
            turns.take(now[0] + 1.0)
            look()

    guards = [threading.Thread(target=guard) for _ in range(5)]
    for one in guards:
        one.start()
    for _ in range(50):
        asked = now[0]
        turns.take(asked + 8.0)
        between.append(now[0] - asked)
        look()
    ended.set()
    for one in guards:
        one.join()
    # those that ask before it is due, and those that wait already
    assert max(between) <= 8 + 2 * len(guards)


@pytest.mark.data
def test_cameras_that_share_a_detector_see_what_they_would_see_alone(detector: Detector, shared_data: Path) -> None:
    clip = cv2.VideoCapture(str(shared_data / "tracking" / "pets09_s2l1_001_400.mp4"))
    first = np.asarray(clip.read()[1], np.uint8)
    pictures = [first, np.full((300, 500, 3), 127, np.uint8), first[100:400]]
    alone = [detector.detect(picture, person_px=85).boxes.tolist() for picture in pictures]
    assert alone[0]
    assert alone[2]
    turns = Turns()

    def watch(picture: NDArray[np.uint8]) -> list[list[list[float]]]:
        mine = seat(detector, turns)
        found: list[list[list[float]]] = []
        while len(found) < 5:
            shown = coloured(picture, len(found) * 9.0)
            with contextlib.suppress(Stale):
                found.append(mine.look(shown, ask(mine, shown), always=True).boxes.tolist())
        return found

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(watch, pictures)) == [[boxes] * 5 for boxes in alone]


def test_a_picture_that_grew_old_leaves_its_place_to_the_next(detector: Detector) -> None:
    turns = Turns()
    late, other = seat(detector, turns), seat(detector, turns)
    assert turns.take(0.0)  # a third camera has it
    first = frame(yard(100), 0.0)
    with pytest.raises(Stale):
        late.look(first, ask(late, first))
    served: list[str] = []

    def look(name: str, one: Seat, picture: Frame) -> None:
        one.look(picture, ask(one, picture))
        served.append(name)

    one = threading.Thread(target=look, args=("other", other, frame(yard(300), 0.0)))
    one.start()
    until(lambda: turns.waiting == 1)
    newer = frame(yard(200), 1.0)
    another = threading.Thread(target=look, args=("late", late, newer))
    another.start()
    until(lambda: turns.waiting == 2)
    turns.give()
    one.join()
    another.join()
    assert served == ["late", "other"]
    assert (late.spent.stale, late.spent.looks) == (1, 1)


def test_a_still_yard_costs_a_look_now_and_then(detector: Detector) -> None:
    one = seat(detector)
    for i in range(24):
        picture = frame(yard(), i / 8)
        one.look(picture, ask(one, picture))
    assert (one.spent.looks, one.spent.spared) == (3, 21)


def test_whoever_walks_is_looked_at_in_every_picture(detector: Detector) -> None:
    one = seat(detector)
    for i in range(12):
        picture = frame(yard(100 + 10 * i), i / 8)
        one.look(picture, ask(one, picture))
    assert (one.spent.looks, one.spent.spared) == (12, 0)


@pytest.mark.data
def test_whoever_stands_still_is_not_forgotten(detector: Detector, shared_data: Path) -> None:
    """People walk, then all of them stand for ten seconds, under a picture's own noise."""
    clip = cv2.VideoCapture(str(shared_data / "tracking" / "pets09_s2l1_001_400.mp4"))
    pictures = [np.asarray(clip.read()[1], np.uint8) for _ in range(24)]
    camera = Camera(id="cam", source="yard.mp4", watch="quarantine", person_px=(60, 120))
    bodies = Bodies(camera, seat(detector), split=True)
    standing = []
    for i in range(24 + 80):
        noise = CHANCE.normal(0, 2, pictures[0].shape)
        picture = np.clip(pictures[min(i, 23)] + noise, 0, 255).astype(np.uint8)
        look = bodies.see(coloured(picture, i / 8))
        assert look is not None
        if i >= 24 + 40:
            standing.append([track.id for track in look.tracks if track.seen])
    assert len(standing[0]) >= 3
    assert all(names == standing[0] for names in standing)
    assert bodies.counts["spared"] > 60


def test_a_camera_set_to_another_size_begins_anew(detector: Detector) -> None:
    camera = Camera(id="cam", source="yard.mp4", watch="quarantine", person_px=(60, 120))
    bodies = Bodies(camera, seat(detector), split=True)
    for i in range(40):
        bodies.see(frame(yard(None if i < 16 else 100 + 10 * (i - 16)), i / 8))
    smaller = bodies.see(frame(yard()[:240, :320], 5.0))
    assert smaller is not None
    assert smaller.tracks == []
