"""Who hears of what, and when a message is tried again. Pure."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from enum import StrEnum

from models.hours import LOCAL


class Kind(StrEnum):
    BREACH = "breach"
    """Somebody has left a zone and nobody has taken the alert."""
    STREET = "street"
    """A street is crowded; places are districts."""
    TEST = "test"


class State(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    NEEDLESS = "needless"
    """Somebody was quicker than it could be sent."""
    DROPPED = "dropped"
    """The recipient had too many waiting already."""


MOST_WAITING = 100
"""Of one recipient: whoever got a hundred alarms at once would read none."""
GIVEN_UP = timedelta(hours=1)
"""An alarm of an hour ago is history: it is shown, not sent."""
HELD = timedelta(seconds=60)
"""Whoever sends a message has it for so long; then it is taken for lost and another central sends it."""
_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=5)


def next_try(tries: int, made_at: datetime, now: datetime) -> datetime | None:
    """After so many tries in vain: twice as long a pause each time. None: it is given up."""
    at = now + min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 20), _LONGEST_PAUSE)
    return at if at - made_at < GIVEN_UP else None


def hears(kinds: Sequence[str], places: Sequence[str], kind: Kind, place: str) -> bool:
    return kind in kinds and (not places or place in places)


def shift_began(now: datetime, shifts: Sequence[time]) -> datetime:
    """When the present shift began, by Viet Nam's clock."""
    here = now.astimezone(LOCAL)
    today = [datetime.combine(here.date(), start, LOCAL) for start in shifts]
    return max(start for day in today for start in (day, day - timedelta(days=1)) if start <= here)
