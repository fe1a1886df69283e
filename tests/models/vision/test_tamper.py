"""Each of the five, and what must not be taken for one, made by script over real clips."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.vision.tamper import Tamper

Pixels = NDArray[np.uint8]
Script = Callable[[Pixels, int], NDArray[Any]]
CALM, LOOKS = 15, 42
CLIPS = ("video/plaza_crowd.avi", "video/street_traffic.mp4", "tracking/pets09_s2l1_001_400.mp4")
_chance = np.random.default_rng(1)


def _noisy(picture: NDArray[Any], sigma: float = 1.0) -> Pixels:
    return np.clip(picture + _chance.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=CLIPS)
def clip(request: pytest.FixtureRequest, shared_data: Path) -> list[Pixels]:
    """A picture a second, at 640 across, over and over."""
    pictures: list[Pixels] = []
    with av.open(str(shared_data / request.param)) as container:
        for picture in container.decode(video=0):
            if (picture.time or 0.0) >= len(pictures):
                small = picture.reformat(width=640, height=640 * picture.height // picture.width, format="gray")
                pictures.append(small.to_ndarray().astype(np.uint8))
            if len(pictures) == LOOKS:
                break
    return [pictures[number % len(pictures)] for number in range(LOOKS)]


def verdicts(clip: list[Pixels], script: Script) -> Iterator[tuple[int, str | None]]:
    """Seconds since the script began, and what was said; before it began nothing may be said."""
    tamper = Tamper()
    for second, picture in enumerate(clip):
        shown = _noisy(picture) if second < CALM else script(picture, second - CALM)
        said = tamper.see(np.clip(shown, 0, 255).astype(np.uint8), float(second))
        if second >= CALM:
            yield second - CALM, said
        else:
            assert said is None


def covered(picture: Pixels, _second: int) -> Pixels:
    return _noisy(90 + np.linspace(0, 20, picture.shape[1])[None, :].repeat(picture.shape[0], 0), 2)


def defocused(picture: Pixels, _second: int) -> Pixels:
    return _noisy(cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 100))


def turned(picture: Pixels, _second: int) -> Pixels:
    return _noisy(picture[:, ::-1])


def dark(picture: Pixels, _second: int) -> Pixels:
    return _noisy(picture * 0.03)


@pytest.mark.data
@pytest.mark.parametrize("script", [covered, defocused, turned, dark])
def test_what_is_done_to_a_camera_is_noticed_within_five_seconds(clip: list[Pixels], script: Script) -> None:
    noticed = [second for second, said in verdicts(clip, script) if said == script.__name__]
    assert noticed[0] <= 5
    assert noticed[-1] == LOOKS - CALM - 1


@pytest.mark.data
def test_a_picture_that_stands_still_is_noticed_within_five_seconds_and_its_end_as_well(clip: list[Pixels]) -> None:
    still = clip[CALM]
    said = dict(verdicts(clip, lambda picture, second: still if second < 10 else _noisy(picture)))
    assert next(second for second, word in said.items() if word == "frozen") <= 5
    assert said[LOOKS - CALM - 1] is None


def nothing(picture: Pixels, _second: int) -> Pixels:
    return _noisy(picture)


def night(picture: Pixels, second: int) -> Pixels:
    """Dusk in twenty seconds, then the camera's infrared lamp."""
    share = max(0.22, 1 - second / 20)
    seen = picture * share if second < 24 else cv2.equalizeHist(picture) * 0.4 + 20.0
    return _noisy(seen, 2 + 3 * (1 - share))


def rain(picture: Pixels, _second: int) -> Pixels:
    height, width = picture.shape
    wet = picture.copy()
    for _ in range(250):
        x, y = int(_chance.integers(width)), int(_chance.integers(height))
        cv2.line(wet, (x, y), (x + height // 75, y + height // 15), int(_chance.integers(160, 230)), 1)
    return _noisy(cv2.GaussianBlur(cv2.addWeighted(picture, 0.75, wet, 0.25, 8), (0, 0), 0.7), 2)


def headlights(picture: Pixels, second: int) -> Pixels:
    """At night, a car comes by four seconds of six."""
    height, width = picture.shape
    lit = picture * 0.35
    if second % 6 < 4:
        down, across = np.mgrid[0:height, 0:width]
        for beside in (-40, 40):
            away = (across - width * (second % 6) / 5 - beside) ** 2 + (down - height * 0.6) ** 2
            lit = lit + 230 * np.exp(-away / (2 * (width / 9) ** 2))
    return _noisy(lit, 3)


@pytest.mark.data
@pytest.mark.parametrize("script", [nothing, night, rain, headlights])
def test_what_only_changes_the_light_is_not_taken_for_it(clip: list[Pixels], script: Script) -> None:
    assert {said for _, said in verdicts(clip, script)} == {None}


def test_a_camera_that_is_covered_from_its_start_is_covered() -> None:
    tamper = Tamper()
    said = [tamper.see(_noisy(np.full((90, 160), 120.0)), float(second)) for second in range(5)]
    assert said[-1] == "covered"


def test_a_camera_that_is_set_to_another_size_begins_anew(clip: list[Pixels]) -> None:
    tamper = Tamper()
    for second, picture in enumerate(clip[:CALM]):
        tamper.see(_noisy(picture), float(second))
    said = [
        tamper.see(_noisy(cv2.resize(clip[second][:, ::-1], (320, 180))), float(second)) for second in range(CALM, 25)
    ]
    assert said == [None] * 10
