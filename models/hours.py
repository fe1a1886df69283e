"""Hours of the week in Viet Nam: a directive's, a yard's, a shift's."""

from datetime import datetime, time, timedelta, timezone
from typing import Annotated

from pydantic import Field

from models.document import Section

LOCAL = timezone(timedelta(hours=7))
"""Viet Nam keeps one offset all year."""


class Hours(Section):
    """Some days from one hour to another; over midnight where `until` is not later."""

    days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (1, 2, 3, 4, 5, 6, 7)
    """1 is Monday."""
    since: time = time(0)
    until: time = time(0)

    def hold_at(self, moment: datetime) -> bool:
        here = moment.astimezone(LOCAL)
        clock = here.time()
        if self.since < self.until:
            return here.isoweekday() in self.days and self.since <= clock < self.until
        # over midnight: the hours after it belong to the day on which they began
        began = here if clock >= self.since else here - timedelta(days=1)
        return began.isoweekday() in self.days and (clock >= self.since or clock < self.until)
