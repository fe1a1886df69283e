import threading
from collections.abc import Sequence

import pytest

from edge.gate.eyes import Broken, Eye, spread
from edge.settings import Camera
from edge.sighting import Sighting

CAMERA = Camera(id="cam-1", source="/absent.mp4", watch="quarantine")


@pytest.mark.parametrize(("cameras", "eyes", "dealt"), [(1, 2, [1]), (2, 2, [1, 1]), (5, 2, [3, 2]), (3, 1, [3])])
def test_cameras_are_dealt_out_evenly(cameras: int, eyes: int, dealt: list[int]) -> None:
    given = [CAMERA.model_copy(update={"id": f"cam-{n}"}) for n in range(cameras)]
    assert [len(hand) for hand in spread(given, eyes)] == dealt


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
