from datetime import datetime, time, timedelta

import pytest

from central.notify.rules import GIVEN_UP, Kind, hears, next_try, shift_began
from models.hours import LOCAL
from tests.central.city import NOW


@pytest.mark.parametrize(("tries", "seconds"), [(1, 2), (2, 4), (5, 32), (9, 300), (1000, 300)])
def test_each_pause_is_twice_as_long_and_none_longer_than_five_minutes(tries: int, seconds: float) -> None:
    assert next_try(tries, NOW, NOW) == NOW + timedelta(seconds=seconds)


def test_after_an_hour_an_alarm_is_given_up() -> None:
    assert next_try(3, NOW - GIVEN_UP, NOW) is None


@pytest.mark.parametrize(
    ("kinds", "places", "heard"),
    [
        (["breach"], [], True),
        (["breach", "street"], ["qs-003"], True),
        (["breach"], ["cp-014"], False),
        (["street"], [], False),
        ([], [], False),
    ],
)
def test_one_hears_of_ones_own_kinds_and_places(kinds: list[str], places: list[str], heard: bool) -> None:
    assert hears(kinds, places, Kind.BREACH, "qs-003") is heard


@pytest.mark.parametrize(("clock", "began"), [("05:59", "22 22:00"), ("06:00", "23 06:00"), ("23:30", "23 22:00")])
def test_a_shift_may_have_begun_yesterday(clock: str, began: str) -> None:
    now = datetime.fromisoformat(f"2026-11-23T{clock}").replace(tzinfo=LOCAL)
    assert f"{shift_began(now, (time(6), time(14), time(22))):%d %H:%M}" == began
