import threading
from collections.abc import Sequence

import pytest

from edge.gate.eyes import Broken, Eye, rehand, spread
from edge.settings import Camera
from edge.sighting import Sighting

CAMERA = Camera(id="cam-1", source="/absent.mp4", watch="quarantine")


@pytest.mark.parametrize(("cameras", "eyes", "dealt"), [(1, 2, [1]), (2, 2, [1, 1]), (5, 2, [3, 2]), (3, 1, [3])])
def test_cameras_are_dealt_out_evenly(cameras: int, eyes: int, dealt: list[int]) -> None:
    given = [CAMERA.model_copy(update={"id": f"cam-{n}"}) for n in range(cameras)]
    assert [len(hand) for hand in spread(given, eyes)] == dealt


def test_a_camera_stays_at_its_eye_and_a_new_one_goes_where_there_are_the_fewest() -> None:
    a, b, c, d = (CAMERA.model_copy(update={"id": name}) for name in "abcd")
    assert rehand([(a, c), (b,)], [a, b, c, d], 2) == [(a, c), (b, d)]
    assert rehand([(a, c), (b,)], [c, b], 2) == [(c,), (b,)]
    assert rehand([(a,), (b,)], [a], 2) == [(a,), ()]
    assert rehand([(a,)], [a, b], 2) == [(a,), (b,)]
    moved = a.model_copy(update={"source": "/elsewhere.mp4"})
    assert rehand([(a, c), (b,)], [moved, b, c], 2) == [(moved, c), (b,)]


def test_an_eye_that_sends_nonsense_is_counted_and_started_again() -> None:
    heard: list[Sighting] = []
    ended: list[Sequence[Camera]] = []
    again = threading.Event()

    def listen(seen: Sighting) -> None:
        heard.append(seen)
        if len(heard) == 1:
            raise Broken("nonsense")
        again.set()

    eye = Eye([CAMERA], "boot", on_sighting=listen, on_end=ended.append)
    eye.start()
    assert again.wait(60)
    eye.close()
    eye.join()
    assert (eye.broken, eye.restarts, ended) == (1, 1, [(CAMERA,)])
