import pytest

from central.alerts.rules import band


@pytest.mark.parametrize(
    ("false", "true", "suggested"),
    [
        ([0.22] * 4, [], None),  # too few to go by
        ([0.22] * 5, [], 0.25),
        ([0.22] * 4 + [0.9], [0.5], 0.25),  # four fifths are enough
        ([0.22] * 4 + [0.9], [0.24], None),  # it would have missed somebody
        ([0.8] * 5, [0.5], None),
        ([0.22] * 5, [None], None),  # of a true one nothing is known
        ([None] * 9, [0.5], None),
    ],
)
def test_a_band_silences_most_false_alarms_and_misses_nobody(
    false: list[float | None], true: list[float | None], suggested: float | None
) -> None:
    assert band(false, true) == suggested
