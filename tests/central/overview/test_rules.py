from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.overview import rules
from central.overview.rules import places
from models.passes.outcome import Outcome
from models.view.page import HANOI

AT = datetime(2021, 9, 21, 0, 0, tzinfo=UTC)
LATER = datetime(2021, 9, 21, 1, 0, tzinfo=UTC)
RUNNING = datetime(2021, 9, 21, 5, 40, tzinfo=UTC)
HOUR = datetime(2021, 9, 21, 5, tzinfo=UTC)


def test_the_worst_place_comes_first_and_each_is_counted_for_itself() -> None:
    found = places(
        alerts=[("q-1", LATER), ("q-1", AT), ("q-2", LATER)],
        cameras=[("q-1", True), ("q-3", True), ("cp-1", False), ("cp-1", True)],
        boxes=[("q-1", True), ("cp-2", False)],
        streets=[("cp-1", True), ("cp-1", False)],
    )
    assert [row.site for row in found] == ["q-1", "q-2", "cp-1", "cp-2", "q-3"]
    first = found[0]
    assert (first.waiting, first.oldest, first.seen, first.cameras) == (2, AT, 1, 1)
    assert (found[2].seen, found[2].cameras, found[2].crowded) == (1, 2, 1)
    assert found[3].boxes_away == 1


def test_only_what_is_seen_whole_is_called_calm() -> None:
    calm = {row.site: row.calm for row in places([], [("a", True), ("b", False)], [("c", True)], [])}
    assert calm == {"a": True, "b": False, "c": False}


def test_nothing_is_no_place() -> None:
    assert places([], [], [], []) == []


def test_a_week_ends_with_the_hour_that_is_running_and_leaves_none_out() -> None:
    told = rules.hours(
        {(HOUR, Outcome.PASS): 3, (HOUR, Outcome.FAIL): 1}, [RUNNING, RUNNING - timedelta(hours=1)], RUNNING
    )
    assert len(told) == 168
    assert (told[-1].at, told[-1].passes, told[-1].alerts) == (HOUR, 4, 1)
    assert (told[-2].passes, told[-2].alerts) == (0, 1)


def test_what_is_older_or_from_a_clock_ahead_is_in_no_column() -> None:
    told = rules.hours({}, [RUNNING - timedelta(days=8), RUNNING + timedelta(days=1)], RUNNING)
    assert sum(hour.alerts for hour in told) == 0


def test_a_day_begins_at_midnight_in_hanoi() -> None:
    days = rules.days(rules.hours({}, [], RUNNING), HANOI)
    assert len(days) == 7
    assert {day.at.hour for day in days} == {17}


@given(st.integers(0, 10**9))
def test_the_axis_ends_at_a_round_number_above_all(most: int) -> None:
    top = rules.ceiling(most)
    assert max(most, 1) <= top <= max(2.5 * most, 1)


@pytest.mark.parametrize(("most", "top"), [(0, 1), (1, 1), (3, 5), (6, 10), (101, 200)])
def test_the_axis_s_end(most: int, top: int) -> None:
    assert rules.ceiling(most) == top
