import pytest

from central.calibration.rules import LEAST, MOST, Unfit, fit, scale_of, with_scale

FILE = {
    "site": "st-1",
    "cameras": [
        {
            "id": "cam-1",
            "source": "rtsp://a/1",
            "zones": [{"id": "road", "scale": 1.5, "hours": ["x"]}, {"id": "walk"}],
        },
        {"id": "cam-2", "source": "b"},
    ],
}


@pytest.mark.parametrize(
    ("pairs", "scale"),
    [
        ([(10.0, 15), (20.0, 30), (4.0, 6)], 1.5),
        ([(10.0, 20), (10.0, 20), (10.0, 20), (10.0, 200)], 2.0),  # a slip of the pen
        ([(10.0, 20), (10.0, 20), (10.0, 20), (10.0, 2)], 2.0),
        ([(10.0, 12), (8.0, 8), (0.0, 2)], round(22 / 18, 2)),  # what the machine missed wholly counts too
        ([(10.0, 100)] * 3, MOST),
        ([(100.0, 1)] * 3, LEAST),
        ([(10.0, 15), (20.0, 30)], None),
        ([(1.0, 2), (1.0, 1), (1.0, 2)], None),
        ([], None),
    ],
)
def test_a_factor_is_what_the_counts_agree_on_and_none_when_they_are_too_few(
    pairs: list[tuple[float, int]], scale: float | None
) -> None:
    assert fit(pairs) == scale


def test_the_order_of_the_counts_does_not_matter() -> None:
    pairs = [(10.0, 15), (12.0, 17), (40.0, 55), (10.0, 90)]
    assert fit(pairs) == fit(pairs[::-1])


def test_one_zones_factor_changes_and_everything_else_is_carried_through() -> None:
    new = with_scale(FILE, "cam-1", "road", 2.0)
    assert scale_of(new, "cam-1", "road") == 2.0
    assert new["cameras"][0]["zones"] == [{"id": "road", "scale": 2.0, "hours": ["x"]}, {"id": "walk"}]
    assert new["cameras"][1] == FILE["cameras"][1]
    assert scale_of(FILE, "cam-1", "road") == 1.5, "the old file is as it was"
    assert scale_of(FILE, "cam-1", "walk") == 1.0


@pytest.mark.parametrize(("camera", "zone"), [("cam-2", "road"), ("cam-1", "street"), ("cam-9", "road")])
def test_a_zone_that_the_box_does_not_have_has_no_factor(camera: str, zone: str) -> None:
    with pytest.raises(Unfit, match="no_zone"):
        with_scale(FILE, camera, zone, 2.0)
