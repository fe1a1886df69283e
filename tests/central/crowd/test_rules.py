import pytest

from central.crowd.rules import MOVES, State, level_of, sources


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ([0, 2], 2),
        ([3, None], 3),  # one camera that sees a crowd is enough
        ([1, None], None),  # what is not seen may be crowded still
        ([None], None),
        ([], None),
    ],
)
def test_the_level_of_a_street_is_the_worst_and_calm_only_where_all_is_seen(
    told: list[int | None], level: int | None
) -> None:
    assert level_of(told) == level


def test_what_is_dismissed_stays_so_and_everything_can_be_dismissed() -> None:
    assert MOVES[State.DISMISSED] == frozenset()
    assert set(sources(State.DISMISSED)) == set(State) - {State.DISMISSED}
    assert sources(State.SENT) == ()
