from datetime import datetime

import pytest

from models.hours import LOCAL, Hours

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=LOCAL)


@pytest.mark.parametrize(
    ("told", "moment", "hold"),
    [
        ({}, MONDAY_NOON, True),
        ({"since": "11:00", "until": "12:00"}, MONDAY_NOON, False),
        ({"since": "12:00", "until": "13:00"}, MONDAY_NOON, True),
        ({"days": [2], "since": "12:00", "until": "13:00"}, MONDAY_NOON, False),
        ({"days": [1], "since": "22:00", "until": "06:00"}, MONDAY_NOON.replace(hour=23), True),
        (
            {"days": [1], "since": "22:00", "until": "06:00"},
            MONDAY_NOON.replace(day=24, hour=5),
            True,
        ),  # still Monday's
        ({"days": [1], "since": "22:00", "until": "06:00"}, MONDAY_NOON.replace(hour=5), False),  # Sunday's
    ],
)
def test_hours_hold_on_their_days_and_over_midnight(told: dict[str, object], moment: datetime, hold: bool) -> None:
    assert Hours.model_validate(told).hold_at(moment) is hold
