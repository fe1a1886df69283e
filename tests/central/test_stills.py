from datetime import UTC, datetime, timedelta

import pytest

from central.stills import FORGOTTEN, MOST, Refused, Stills

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
CAMERA = ("st-112", "edge-01", "cam-3")
JPEG = b"\xff\xd8\xff\xe0"


def test_a_newer_picture_takes_the_place_of_an_older_whatever_comes_first() -> None:
    stills = Stills()
    stills.put(CAMERA, JPEG + b"new", NOW, NOW)
    stills.put(CAMERA, JPEG + b"old", NOW - timedelta(seconds=5), NOW)
    held = stills.get(CAMERA, NOW)
    assert held is not None
    assert held.jpeg == JPEG + b"new"


def test_an_old_picture_is_forgotten() -> None:
    stills = Stills()
    stills.put(CAMERA, JPEG, NOW, NOW)
    assert stills.get(CAMERA, NOW + FORGOTTEN) is not None
    assert stills.get(CAMERA, NOW + FORGOTTEN + timedelta(seconds=1)) is None
    assert stills.get(CAMERA, NOW) is None


@pytest.mark.parametrize(("jpeg", "ahead_s"), [(b"GIF89a", 0), (b"", 0), (JPEG, 3600)])
def test_what_is_no_picture_of_now_is_refused(jpeg: bytes, ahead_s: float) -> None:
    with pytest.raises(Refused):
        Stills().put(CAMERA, jpeg, NOW + timedelta(seconds=ahead_s), NOW)


def test_a_clock_that_is_a_little_ahead_makes_no_picture_of_the_future() -> None:
    stills = Stills()
    stills.put(CAMERA, JPEG, NOW + timedelta(seconds=60), NOW)
    held = stills.get(CAMERA, NOW)
    assert held is not None
    assert held.taken_at == NOW


def test_of_too_many_cameras_the_one_that_was_silent_longest_goes() -> None:
    stills = Stills()
    for number in range(MOST + 1):
        stills.put(("st-112", "edge-01", f"cam-{number}"), JPEG, NOW, NOW)
    assert stills.get(("st-112", "edge-01", "cam-0"), NOW) is None
    assert stills.get(("st-112", "edge-01", f"cam-{MOST}"), NOW) is not None
