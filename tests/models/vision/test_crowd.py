import numpy as np
import pytest

from models.vision.crowd import Body, Count, Flow, Level, fit_scale
from models.vision.tracker import Track

SQUARE = np.array([(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)])


def look(count: Count, people: int) -> tuple[int, int, int]:
    names: list[Body] = ["person"] * people
    crowd = count.see(np.full((people, 2), 50.0), names)
    return crowd.total, crowd.low, crowd.high


def test_only_bodies_in_the_polygon_count_by_what_they_are() -> None:
    crowd = Count(SQUARE).see(np.array([(50.0, 50.0), (20.0, 20.0), (150.0, 50.0)]), ["person", "car", "bus"])
    assert crowd.counts == {"person": 1, "car": 1}


def test_the_median_of_the_looks_forgives_one_bad_look_and_the_range_shows_it() -> None:
    count = Count(SQUARE)
    for _ in range(4):
        look(count, 6)
    assert look(count, 0) == (6, 0, 6)


def test_the_first_look_gives_the_level_and_then_only_changes_do() -> None:
    level = Level((5, 10, 20, 40), hold_s=2.0)
    assert level.see(12, 0.0) == (2, None)
    assert level.see(13, 1.0) is None


def test_a_level_changes_after_its_hold_and_falls_only_well_below_its_threshold() -> None:
    level = Level((5, 10, 20, 40), hold_s=2.0)
    level.see(3, 0.0)
    assert [level.see(6, 1.0), level.see(6, 2.0), level.see(6, 3.0)] == [None, None, (1, 0)]
    assert [level.see(4, 4.0 + i) for i in range(5)] == [None] * 5
    assert [level.see(3, 10.0), level.see(3, 12.0)] == [None, (0, 1)]


def test_a_level_that_flickers_does_not_change() -> None:
    level = Level((5, 10, 20, 40), hold_s=2.0)
    level.see(3, 0.0)
    assert [level.see(6 if i % 2 else 3, float(i)) for i in range(20)] == [None] * 20


def test_who_crosses_the_line_counts_once_in_its_direction() -> None:
    flow = Flow(np.array([(0.0, 100.0), (200.0, 100.0)]))  # drawn to the right: its left hand is up
    rates = (0.0, 0.0)
    for i in range(100):
        y = 150.0 - i if i < 80 else 70.0
        rates = flow.see([Track(id=1, box=(90, y - 20, 110, y + 20), seen=True, last_s=0.0)], i * 0.1)
    assert rates == pytest.approx((6.0, 0.0))  # one in ten seconds


def test_who_walks_around_the_end_of_the_line_does_not_cross_it() -> None:
    flow = Flow(np.array([(0.0, 100.0), (50.0, 100.0)]))
    for i in range(100):
        rates = flow.see([Track(id=1, box=(190, 130.0 - i, 210, 170.0 - i), seen=True, last_s=0.0)], i * 0.1)
    assert rates == (0.0, 0.0)


@pytest.mark.parametrize(
    ("pairs", "scale"),
    [
        ([(8, 10), (12, 15)], 1.25),
        ([(0, 3), (10, 7)], 1.0),  # a look that saw nobody still counts
        ([(0, 4)], 1.0),  # nothing was counted: nothing can be learnt
        ([], 1.0),
    ],
)
def test_a_camera_is_calibrated_by_one_number_from_a_few_counts(pairs: list[tuple[int, int]], scale: float) -> None:
    assert fit_scale(pairs) == pytest.approx(scale)
