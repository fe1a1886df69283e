from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.limits import Hours, Limits, read

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "limits"
STEPS = (5.0, 10.0, 20.0, 40.0)


def at(text: str) -> datetime:
    """Hanoi's clock."""
    return datetime.fromisoformat(f"{text}+07:00").astimezone(UTC)


@pytest.mark.parametrize(("name", "most"), [("directive-15", 10), ("directive-16", 2)])
def test_a_directive_says_from_how_many_a_group_is_a_gathering(name: str, most: int) -> None:
    assert read(FOLDER / f"{name}.json").at(at("2021-09-21T12:00")).gathering == most


@pytest.mark.parametrize(
    ("moment", "first"),
    [
        ("2021-09-21T06:29", 5),  # Tuesday, before the rush
        ("2021-09-21T06:30", 8),
        ("2021-09-21T08:30", 5),  # the end is not in it
        ("2021-09-25T07:00", 5),  # Saturday
    ],
)
def test_the_hour_decides(moment: str, first: int) -> None:
    assert read(FOLDER / "directive-15.json").at(at(moment)).bodies[0] == first


def test_hours_over_midnight_belong_to_the_day_on_which_they_began() -> None:
    friday_night = Hours.model_validate(
        {"days": [5], "since": "22:00", "until": "05:00", "bodies": STEPS, "gathering": 2}
    )
    assert [
        friday_night.hold_at(at(f"2021-09-{day}T{clock}"))
        for day, clock in [(24, "21:59"), (24, "22:00"), (25, "04:59"), (25, "05:00"), (25, "23:00")]
    ] == [False, True, True, False, False]


@pytest.mark.parametrize("steps", [(5, 5, 20, 40), (0, 1, 2, 3), (40, 20, 10, 5)])
def test_thresholds_that_do_not_rise_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="must rise"):
        Hours.model_validate({"bodies": steps, "gathering": 2})


def test_limits_that_leave_an_hour_open_are_refused() -> None:
    hours = {"days": [1], "bodies": STEPS, "gathering": 2}
    with pytest.raises(ValidationError, match="must hold always"):
        Limits.model_validate({"name": "x", "title": "x", "hours": [hours], "actions": {}})
