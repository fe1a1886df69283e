"""A body of 100 pixels and a yard of 400: distances in the tests are pixels, so hundredths of a body."""

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vision.tracker import Track
from models.vision.zones import Exit, Fence, Kind, ZoneWatch, signed_distance, signed_side

YARD = ((100.0, 100.0), (500.0, 100.0), (500.0, 500.0), (100.0, 500.0))
EVERY_S = 0.2


def watch(kind: Kind = "stay-inside", corners: tuple[tuple[float, float], ...] = YARD) -> ZoneWatch:
    fence = Fence(id="yard", kind=kind, corners=corners, band_heights=0.2, hold_seconds=1.0)
    return ZoneWatch(fence, height_px=(60, 200))


def at(x: float, y: float = 300.0, *, id_: int = 1, seen: bool = True, height: float = 100.0) -> Track:
    return Track(id=id_, box=(x - 20, y - height, x + 20, y), seen=seen, last_s=0.0)


def story(zone: ZoneWatch, *feet: float | None, id_: int = 1, start_s: float = 0.0) -> list[Exit]:
    """One picture each 0.2 s with the body's foot at x; None: not seen."""
    told = []
    for i, x in enumerate(feet):
        told += zone.see([] if x is None else [at(x, id_=id_)], start_s + i * EVERY_S)
    return told


def walk(zone: ZoneWatch, *feet: float | None, id_: int = 1, start_s: float = 0.0) -> list[Exit]:
    """As `story`, only what opens."""
    return [one for one in story(zone, *feet, id_=id_, start_s=start_s) if one.phase == "open"]


def test_who_walks_out_and_stays_out_is_told_once() -> None:
    (left,) = walk(watch(), *([450] * 5), *range(460, 600, 10), *([600] * 20))
    assert (left.zone, left.track, left.certainty) == ("yard", 1, "left")
    assert 2.0 <= left.left_at <= 2.4
    assert left.reported_at >= left.left_at + 1.0
    assert left.foot == pytest.approx((510, 300), abs=11)


def test_who_sways_on_the_line_has_not_left() -> None:
    assert walk(watch(), *([450] * 5), *(500 + 15 * math.sin(i) for i in range(300))) == []


def test_who_steps_out_and_returns_within_the_hold_has_not_left() -> None:
    assert walk(watch(), *([450] * 5), *([540] * 4), *([450] * 20)) == []


def test_one_bad_box_is_no_exit() -> None:
    assert walk(watch(), *([450] * 5), 800, *([450] * 10)) == []


def test_who_was_never_inside_does_not_leave() -> None:
    zone = watch()
    assert walk(zone, *([600] * 20)) == []
    assert zone.state(1) == "outside"


def test_who_returns_and_leaves_again_is_told_again() -> None:
    told = walk(watch(), *([450] * 5), *([600] * 10), *([450] * 10), *([600] * 10))
    assert [one.count for one in told] == [1, 2]


def test_who_is_lost_just_beyond_the_line_has_probably_left() -> None:
    (left,) = walk(watch(), *([450] * 5), 480, 495, 505, 510, 512, *([None] * 10))
    assert left.certainty == "probable"
    assert left.reported_at - left.left_at > 1.0


def test_who_is_lost_deep_inside_has_not_left() -> None:
    assert walk(watch(), *([300] * 10), *([None] * 60)) == []


def test_a_new_track_beside_a_lost_one_inherits_its_state() -> None:
    zone = watch()
    assert walk(zone, *([450] * 5), 480, 510, 525) == []
    (left,) = walk(zone, *([540] * 10), id_=2, start_s=1.8)
    assert (left.track, left.certainty) == (2, "left")
    assert walk(zone, *([None] * 40), start_s=4.0) == []


def test_a_new_track_beside_one_that_was_told_is_not_told_again() -> None:
    zone = watch()
    assert len(walk(zone, *([450] * 5), *([540] * 10))) == 1
    assert walk(zone, *([550] * 20), id_=2, start_s=3.2) == []


def test_who_appears_in_a_forbidden_place_is_told_after_the_hold() -> None:
    (told,) = walk(watch("keep-out"), *([300] * 10))
    assert told.reported_at == pytest.approx(1.0, abs=0.21)
    assert walk(watch("keep-out"), *([700] * 20)) == []


def test_an_exit_line_is_left_from_its_left_hand_to_its_right() -> None:
    line = ((300.0, 100.0), (300.0, 500.0))  # drawn downwards: its left hand is the right of the picture
    assert len(walk(watch("exit-line", line), *([400] * 5), *([200] * 10))) == 1
    assert walk(watch("exit-line", line), *([200] * 5), *([400] * 10)) == []


def test_a_jumping_height_does_not_move_the_line() -> None:
    zone = watch()
    walk(zone, *([450] * 5))
    # 50 pixels are half a body of 100 and a quarter of the tallest body there can be, but a hundredth of this box.
    assert [zone.see([at(550, height=5000)], 1.0 + i * EVERY_S) for i in range(3)] == [[], [], []]
    assert zone.state(1) == "leaving"


@given(st.integers(-200, 800), st.integers(-200, 800))
def test_the_distance_is_that_of_opencv(x: int, y: int) -> None:
    corners = np.array([(0, 0), (400, 30), (300, 300), (200, 150), (50, 350)], dtype=np.float32)
    mine = signed_distance(corners.astype(np.float64), np.array([(x, y)], dtype=np.float64))[0]
    assert mine == pytest.approx(cv2.pointPolygonTest(corners, (x, y), measureDist=True), abs=1e-3)


@given(st.floats(-500, 500), st.floats(-500, 500))
def test_a_line_drawn_the_other_way_round_swaps_its_sides(x: float, y: float) -> None:
    line = np.array([(-100.0, 3.0), (200.0, 50.0)])
    point = np.array([(x, y)])
    there, back = signed_side(line, point)[0], signed_side(line[::-1], point)[0]
    assert abs(there) == pytest.approx(abs(back))
    assert there == pytest.approx(-back) or there == pytest.approx(0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 800)), max_size=80))
def test_whatever_a_body_does_its_exits_are_apart_and_in_order(feet: list[float | None]) -> None:
    told = walk(watch(), *feet)
    assert [one.count for one in told] == list(range(1, len(told) + 1))
    for one in told:
        assert 0.0 <= one.left_at <= one.reported_at
    for one, following in pairwise(told):
        assert following.left_at >= one.reported_at


@given(st.lists(st.floats(120, 480), max_size=60))
def test_who_stays_inside_never_leaves(feet: list[float]) -> None:
    assert walk(watch(), *feet, *([None] * 30)) == []


def phases(told: list[Exit]) -> list[tuple[str, str | None]]:
    return [(one.phase, one.end_reason) for one in told]


def test_who_returns_ends_the_incident_that_leaving_began() -> None:
    left, back = story(watch(), *([450] * 5), *([600] * 10), *([450] * 10))
    assert (left.phase, back.phase, back.end_reason) == ("open", "close", "returned")
    assert (back.left_at, back.count) == (left.left_at, left.count)
    assert back.reported_at == pytest.approx(3.7, abs=0.21)


def test_who_is_gone_for_good_ends_it_with_the_moment_of_the_last_sighting() -> None:
    _, lost = story(watch(), *([450] * 5), *([600] * 10), *([None] * 40))
    assert (lost.phase, lost.end_reason) == ("close", "lost")
    assert lost.reported_at == pytest.approx(14 * EVERY_S)


def test_a_step_over_the_line_and_out_again_is_no_return() -> None:
    assert phases(story(watch(), *([450] * 5), *([600] * 10), *([490] * 2), *([600] * 10))) == [("open", None)]


def test_who_has_probably_left_and_is_seen_outside_has_left() -> None:
    told = story(watch(), *([450] * 5), 480, 495, 505, 510, 512, *([None] * 7), *([560] * 5))
    assert [(one.phase, one.certainty) for one in told] == [("open", "probable"), ("update", "left")]


def test_a_new_track_of_the_same_body_ends_the_same_incident() -> None:
    zone = watch()
    (left,) = story(zone, *([450] * 5), *([540] * 10))
    (back,) = story(zone, *([540] * 5), *([450] * 10), id_=2, start_s=3.2)
    assert (back.phase, back.track, back.left_at) == ("close", left.track, left.left_at)


def test_a_zone_that_is_no_longer_guarded_ends_what_goes_on() -> None:
    zone = watch()
    story(zone, *([450] * 5), *([600] * 10))
    assert phases(zone.end()) == [("close", "ended")]
    assert zone.end() == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 800)), max_size=80))
def test_whatever_a_body_does_an_incident_opens_once_and_ends_once_at_most(feet: list[float | None]) -> None:
    zone = watch()
    told = [*story(zone, *feet), *zone.end()]
    for count in {one.count for one in told}:
        order = [one.phase for one in told if one.count == count]
        assert order[0] == "open"
        assert order[-1] == "close"
        assert "open" not in order[1:]
        assert "close" not in order[:-1]
    assert zone.outside == []
