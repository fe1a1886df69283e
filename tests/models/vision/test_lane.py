"""A lane in which vehicles stop: a wall and a road, and boxes of grey that come and go."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.vision.lane import Lane

Pixels = NDArray[np.uint8]
RNG = np.random.default_rng(4)
ROAD = (np.linspace(70, 150, 360)[:, None] + RNG.normal(0, 12, (360, 640))).clip(0, 255)


def picture(vehicle: int | None = None, at: int = 200, light: float = 0.0) -> Pixels:
    seen = ROAD + RNG.normal(0, 2, ROAD.shape) + light
    if vehicle is not None:
        seen[90:330, max(at, 0) : at + 280] = 40 + 60 * vehicle % 200 + RNG.normal(0, 2, (240, 1))
    return seen.clip(0, 255).astype(np.uint8)


class Film:
    def __init__(self, lane: Lane) -> None:
        self.lane, self.now = lane, 0.0

    def see(self, seconds: float, vehicle: int | None = None, light: float = 0.0) -> bool:
        """What the lane says at the end of so many seconds."""
        empty = True
        for _ in range(round(seconds * 10)):
            empty = self.lane.see(picture(vehicle, light=light), self.now)
            self.now += 0.1
        return empty


def test_vehicles_one_after_another_fill_the_lane_and_it_is_empty_between_them() -> None:
    film = Film(Lane())
    assert film.see(3.0)
    for number in range(5):
        assert not film.see(6.0, vehicle=number)
        assert film.see(2.0)


def test_a_box_that_starts_before_a_vehicle_learns_the_empty_lane_by_itself() -> None:
    film = Film(Lane())
    film.see(8.0, vehicle=1)
    for number in (2, 3):
        film.see(2.0)
        film.see(6.0, vehicle=number)
    assert film.see(2.0)
    assert not film.see(6.0, vehicle=4)


def test_a_vehicle_in_which_somebody_stirs_now_and_then_is_no_empty_lane() -> None:
    film = Film(Lane())
    film.see(3.0)
    for number in range(2, 8):
        for _ in range(4):
            assert not film.see(2.0, vehicle=number)
            film.lane.see(picture(number, at=215), film.now)  # it rocks
        assert film.see(2.0)


def test_lamps_that_are_switched_on_do_not_fill_a_lane() -> None:
    film = Film(Lane())
    film.see(3.0)
    film.see(5.0, vehicle=2)
    assert film.see(2.0, light=30.0)


@pytest.mark.parametrize(("at", "empty"), [(0, True), (320, False)])
def test_only_what_stands_in_its_own_polygon_counts(at: int, *, empty: bool) -> None:
    lane = Lane(np.array([(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]))
    for i in range(20):
        lane.see(picture(), i / 10)
    assert [lane.see(picture(3, at=at), 2.0 + i / 10) for i in range(20)][-1] is empty
