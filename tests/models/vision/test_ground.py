import numpy as np
import pytest

from models.vision.ground import BadGround, area_m2

SQUARE = np.array([(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)])
ROAD = ((40.0, 10.0, 0.0, 20.0), (60.0, 10.0, 4.0, 20.0), (90.0, 90.0, 4.0, 0.0), (10.0, 90.0, 0.0, 0.0))
"""Four metres wide and twenty long; its far end is a quarter as wide in the picture."""


def test_metres_per_pixel_measure_a_view_from_above() -> None:
    assert area_m2(SQUARE, metres_per_pixel=0.1) == pytest.approx(100.0)


def test_four_points_measure_a_street_in_perspective() -> None:
    corners = np.array([(x, y) for x, y, _, _ in ROAD])
    assert area_m2(corners, ground=ROAD) == pytest.approx(80.0)


def test_the_far_half_of_the_picture_is_most_of_the_ground() -> None:
    far = np.array([(40.0, 10.0), (60.0, 10.0), (75.0, 50.0), (25.0, 50.0)])
    assert area_m2(far, ground=ROAD) == pytest.approx(64.0, rel=0.01)


def test_without_a_calibration_there_is_no_area() -> None:
    assert area_m2(SQUARE) is None


def test_points_in_one_line_are_refused() -> None:
    flat = tuple((x, 50.0, east, north) for x, _, east, north in ROAD)
    with pytest.raises(BadGround, match="one line"):
        area_m2(SQUARE, ground=flat)


def test_a_polygon_above_the_horizon_is_refused() -> None:
    with pytest.raises(BadGround, match="horizon"):
        area_m2(np.array([(0.0, -100.0), (100.0, -100.0), (50.0, 90.0)]), ground=ROAD)
