"""A line for each place, and seven days of them all hour by hour. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from models.passes.outcome import Outcome

HOURS = 7 * 24
HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Place:
    site: str
    waiting: int = 0
    oldest: datetime | None = None
    seen: int = 0
    cameras: int = 0
    boxes_away: int = 0
    crowded: int = 0

    @property
    def calm(self) -> bool:
        """Only what is seen whole can be called calm."""
        return self.cameras > 0 and self.seen == self.cameras and not (self.waiting or self.boxes_away or self.crowded)


def places(
    alerts: Iterable[tuple[str, datetime]],
    cameras: Iterable[tuple[str, bool]],
    boxes: Iterable[tuple[str, bool]],
    streets: Iterable[tuple[str, bool]],
) -> list[Place]:
    """Of each: the site, and when it was raised, whether it is seen, is online, is crowded. The worst place first."""
    alerts, cameras, boxes, streets = list(alerts), list(cameras), list(boxes), list(streets)
    sites = {site for rows in (alerts, cameras, boxes, streets) for site, _ in rows}
    found = []
    for site in sites:
        raised = [at for at_site, at in alerts if at_site == site]
        seen = [is_seen for at_site, is_seen in cameras if at_site == site]
        found.append(
            Place(
                site=site,
                waiting=len(raised),
                oldest=min(raised, default=None),
                seen=sum(seen),
                cameras=len(seen),
                boxes_away=sum(1 for at_site, online in boxes if at_site == site and not online),
                crowded=sum(1 for at_site, crowded in streets if at_site == site and crowded),
            )
        )
    return sorted(
        found,
        key=lambda row: (row.calm, -row.waiting, -(row.cameras - row.seen) - row.boxes_away, -row.crowded, row.site),
    )


@dataclass(frozen=True, kw_only=True)
class Hour:
    at: datetime
    answers: Mapping[Outcome, int]
    alerts: int

    @property
    def passes(self) -> int:
        return sum(self.answers.values())


def first_hour(now: datetime) -> datetime:
    """The first of the hours that end with the present one."""
    return now.replace(minute=0, second=0, microsecond=0) - HOUR * (HOURS - 1)


def hours(
    answers: Mapping[tuple[datetime, Outcome], int], alerts: Sequence[datetime], now: datetime
) -> tuple[Hour, ...]:
    """`answers` by the hour's beginning; `alerts`: when each was raised. An hour of nothing is there too."""
    start = first_hour(now)
    raised = [0] * HOURS
    for at in alerts:
        if 0 <= (place := (at - start) // HOUR) < HOURS:
            raised[place] += 1
    return tuple(
        Hour(
            at=(at := start + HOUR * place),
            answers={outcome: answers.get((at, outcome), 0) for outcome in Outcome},
            alerts=raised[place],
        )
        for place in range(HOURS)
    )


def ceiling(most: int) -> int:
    """The round number at the top of the axis: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power >= most:
                return step * power
        power *= 10


@dataclass(frozen=True, kw_only=True)
class Day:
    """Where a day begins, as a count of hours from the left."""

    at: datetime
    place: int


def days(week: Sequence[Hour], zone: tzinfo) -> list[Day]:
    return [Day(at=hour.at, place=place) for place, hour in enumerate(week) if hour.at.astimezone(zone).hour == 0]
