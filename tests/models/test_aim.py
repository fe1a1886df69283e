"""What a holder is told: a table, and what no sequence of pictures may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.aim import Advice, Guide, Symptoms, advise

GOOD = {"px_per_module": 2.5, "light": 210.0, "washed": 0.0, "blur_px": 2.0}


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"px_per_module": 1.0}, "closer"),
        ({"washed": 0.2, "light": 255.0}, "glare"),
        ({"washed": 0.2, "light": 255.0, "px_per_module": 1.0}, "glare"),  # nearer does not take a lamp's light away
        ({"washed": 0.2, "light": 160.0}, "closer"),  # blurred until no module is dark, and no lamp
        ({"light": 28.0}, "brighter"),
        ({"light": 28.0, "px_per_module": 1.0}, "closer"),
        ({"blur_px": 2.6}, "still"),
        ({"blur_px": 2.6, "light": 40.0}, "brighter"),  # a dark picture's edges are its noise
        ({}, "closer"),  # foreshortened, or badly compressed
    ],
)
def test_the_change_that_helps_most_is_advised(changed: dict[str, float], advice: Advice) -> None:
    assert advise(Symptoms(**(GOOD | changed))) == advice


DIM = Symptoms(**(GOOD | {"light": 30.0}))
SMALL = Symptoms(**(GOOD | {"px_per_module": 1.0}))


def test_nothing_is_said_of_a_code_that_is_read_in_its_second_or_third_picture() -> None:
    guide = Guide()
    assert [guide.see(DIM, i / 10) for i in range(3)] == [None, None, None]
    guide.forget()
    assert guide.see(None, 0.4) is None


def test_a_code_that_stays_unread_is_helped_within_half_a_second_and_what_is_seen_most_counts() -> None:
    guide = Guide()
    told = [guide.see(SMALL if i == 2 else DIM, i / 10) for i in range(6)]
    assert told == [None, None, None, None, "brighter", "brighter"]


def test_one_deceptive_picture_is_no_symbol() -> None:
    guide = Guide()
    guide.see(DIM, 0.0)
    assert all(guide.see(None, i / 10) is None for i in range(1, 40))
    assert guide.see(DIM, 4.0) is None, "the first one is too long ago to count with it"


@given(st.lists(st.tuples(st.floats(0.0, 0.3), st.sampled_from([None, DIM, SMALL])), max_size=60))
def test_whatever_is_said_two_pictures_lately_have_shown(pictures: list[tuple[float, Symptoms | None]]) -> None:
    guide, now, seen = Guide(), 0.0, list[tuple[float, Advice]]()
    for gap, symptoms in pictures:
        now += gap
        if symptoms is not None:
            seen.append((now, advise(symptoms)))
        told = guide.see(symptoms, now)
        if told is not None:
            assert now - seen[-1][0] < Guide.FORGET_S
            assert seen[-1][0] - seen[-2][0] < Guide.FORGET_S
            assert told in {advice for _, advice in seen}
