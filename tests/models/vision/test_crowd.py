import numpy as np
import pytest

from models.vision.crowd import Body, Count, Floats, Flow, Gathering, Level, Occupied, fit_scale, on_foot
from models.vision.tracker import Track

STEPS = (5, 10, 20, 40)
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
    assert look(count, 0) == (6, 0, 8)


def test_the_range_is_never_narrower_than_a_count_is_known_to_be_wrong() -> None:
    count = Count(SQUARE)
    assert [look(count, 40) for _ in range(3)][-1] == (40, 30, 50)


def test_a_calibrated_camera_multiplies_what_it_counts() -> None:
    assert look(Count(SQUARE, scale=1.5), 10) == (15, 11, 19)


def test_the_first_look_gives_the_level_and_then_only_changes_do() -> None:
    level = Level(hold_s=2.0)
    assert level.see(12, STEPS, 0.0) == (2, None)
    assert level.see(13, STEPS, 1.0) is None


def test_a_level_changes_after_its_hold_and_falls_only_well_below_its_threshold() -> None:
    level = Level(hold_s=2.0)
    level.see(3, STEPS, 0.0)
    assert [level.see(6, STEPS, 1.0), level.see(6, STEPS, 2.0), level.see(6, STEPS, 3.0)] == [None, None, (1, 0)]
    assert [level.see(4, STEPS, 4.0 + i) for i in range(5)] == [None] * 5
    assert [level.see(3, STEPS, 10.0), level.see(3, STEPS, 12.0)] == [None, (0, 1)]


def test_a_level_that_flickers_does_not_change() -> None:
    level = Level(hold_s=2.0)
    level.see(3, STEPS, 0.0)
    assert [level.see(6 if i % 2 else 3, STEPS, float(i)) for i in range(20)] == [None] * 20


def test_a_gathering_is_crowded_however_few_they_are() -> None:
    level = Level(hold_s=2.0)
    level.see(3, STEPS, 0.0)
    assert [level.see(3, STEPS, 1.0, gathering=True), level.see(3, STEPS, 3.0, gathering=True)] == [None, (3, 0)]
    assert [level.see(3, STEPS, 5.0), level.see(3, STEPS, 7.0)] == [None, (0, 3)]


def test_a_pause_ends_the_level_and_the_next_look_begins_anew() -> None:
    level = Level(hold_s=2.0)
    level.see(25, STEPS, 0.0)
    assert level.pause() == 3
    assert level.pause() is None
    assert level.see(3, STEPS, 9.0) == (0, None)


def people(*places: float) -> tuple[Floats, Floats]:
    """Their feet, side by side in a row, and their heights of 50 pixels."""
    return np.array([(x, 100.0) for x in places]).reshape(-1, 2), np.full(len(places), 50.0)


def test_people_who_stand_together_are_a_gathering_and_those_who_walk_by_are_not() -> None:
    group = Gathering()
    seen = [group.see(*people(0, 40, 80, 300, 500.0 + 60 * i, 560.0 + 60 * i), float(i)) for i in range(25)]
    assert seen[:15] == [0] * 15  # nobody has stood long enough yet
    assert seen[-1] == 3


def test_a_detector_that_misses_every_third_look_still_sees_who_stands() -> None:
    group = Gathering()
    seen = [group.see(*(people(0, 40, 80) if i % 3 else people(0)), float(i)) for i in range(25)]
    assert seen[-3:] == [3, 3, 1]  # the last look is one of those that miss two


def test_riders_are_not_on_foot() -> None:
    boxes = np.array([(0, 0, 20, 60), (100, 0, 120, 50), (95, 25, 125, 60), (200, 0, 220, 60)], np.float64)
    assert on_foot(boxes, ["person", "person", "motorbike", "car"]).tolist() == [True, False, False, False]


def test_a_street_that_fills_differs_from_itself_and_a_cloud_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    street = rng.integers(80, 160, (90, 160)).astype(np.uint8)
    occupied = Occupied(np.array([(0, 0), (160, 0), (160, 90), (0, 90)], np.float64), height=90, width=160)
    assert [occupied.see(street, 60.0 * i) for i in range(3)] == [None, None, 0.0]
    assert occupied.see((street // 2 + 20).astype(np.uint8), 125.0) == pytest.approx(0.0, abs=0.05)
    street[30:60, :80] = 250
    assert occupied.see(street, 126.0) == pytest.approx(1 / 6, abs=0.02)


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
