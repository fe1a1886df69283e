"""How a curve is drawn, and what a morning report says. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from central.crowd.rules import Warned
from central.history.rules import Span, Zone
from models.hours import LOCAL
from models.limits import Limits

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
STEP = timedelta(minutes=5)
WIDE, HIGH = 960.0, 300.0
Place = Callable[[float], float]


def day_of(day: date) -> tuple[datetime, datetime]:
    """From midnight to midnight, by Viet Nam's clock."""
    began = datetime(day.year, day.month, day.day, tzinfo=LOCAL)
    return began, began + DAY


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Five minutes in which something was told; where nothing was, there is none: a gap is no zero."""

    began: datetime
    value: float
    low: float
    high: float


def bins(spans: Iterable[Span], since: datetime, *, density: bool) -> dict[int, Bin]:
    """By their number since then. With `density` the bodies on 100 square metres, which have no range of their own."""
    found: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        if not density or span.density is not None:
            found[(span.began - since) // STEP].append(span)
    made = {}
    for number, some in found.items():
        looks = sum(span.looks for span in some)
        value = sum((span.density or 0.0 if density else span.bodies) * span.looks for span in some) / looks
        low, high = min(span.low for span in some), max(span.high for span in some)
        made[number] = Bin(
            began=since + number * STEP, value=value, low=value if density else low, high=value if density else high
        )
    return made


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What SVG draws on a paper of WIDE by HIGH."""

    top: float
    density: bool
    line: str
    band: str
    last_week: str
    thresholds: tuple[tuple[int, str, float], ...]
    """Level, path, and where its name may stand."""
    clock: tuple[tuple[float, str], ...]
    marks: tuple[tuple[float, Bin], ...]


def chart(now: Sequence[Span], week_ago: Sequence[Span], since: datetime, limits: Limits | None) -> Chart:
    """A day from `since`, beside the same day of the week before, with the directive's thresholds."""
    density = any(span.density is not None for span in now)
    here, before = bins(now, since, density=density), bins(week_ago, since - WEEK, density=density)
    steps = _thresholds(since, limits, density=density)
    seen = [one.high for one in here.values()] + [one.value for one in before.values()]
    seen += [amounts[2] for _, amounts in steps]
    top = max([1.0, *seen]) * 1.05
    count = DAY // STEP

    def x(number: float) -> float:
        return round(number * WIDE / count, 1)

    def y(value: float) -> float:
        return round(HIGH * (1 - min(value, top) / top), 1)

    band = ""
    for run in _runs(here):
        upper = [f"{x(n + 0.5)} {y(here[n].high)}" for n in run]
        lower = [f"{x(n + 0.5)} {y(here[n].low)}" for n in reversed(run)]
        band += "M" + "L".join([*upper, *lower]) + "z"
    levels = []
    for level in range(1, 5):
        points = [(number, amounts[level - 1]) for number, amounts in steps if amounts[level - 1] <= top]
        path = "".join(f"M{x(number)} {y(amount)}h{x(1)}" for number, amount in points)
        if points:
            levels.append((level, path, y(points[-1][1])))
    return Chart(
        top=top,
        density=density,
        line=_line(here, x, y),
        band=band,
        last_week=_line(before, x, y),
        thresholds=tuple(levels),
        clock=tuple(
            (x(number), f"{(since + number * STEP).astimezone(LOCAL):%H:%M}")
            for number in range(count)
            if (since + number * STEP).astimezone(LOCAL).minute == 0
            and (since + number * STEP).astimezone(LOCAL).hour % 3 == 0
        ),
        marks=tuple((x(number), here[number]) for number in sorted(here)),
    )


def _thresholds(since: datetime, limits: Limits | None, *, density: bool) -> list[tuple[int, Sequence[float]]]:
    if limits is None:
        return []
    found: list[tuple[int, Sequence[float]]] = []
    for number in range(DAY // STEP):
        hours = limits.at(since + number * STEP)
        amounts = hours.per_100_m2 if density else hours.bodies
        if amounts is not None:
            found.append((number, amounts))
    return found


def _runs(some: Mapping[int, Bin]) -> list[list[int]]:
    """Numbers that follow each other: over a gap nothing is drawn."""
    runs: list[list[int]] = []
    for number in sorted(some):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _line(some: Mapping[int, Bin], x: Place, y: Place) -> str:
    parts = []
    for run in _runs(some):
        points = [f"{x(n + 0.5)} {y(some[n].value)}" for n in run]
        if len(points) == 1:  # five minutes alone are a dash
            points.append(f"{x(run[0] + 1)} {y(some[run[0]].value)}")
        parts.append("M" + "L".join(points))
    return "".join(parts)


# ---- the morning report


@dataclass(frozen=True, kw_only=True)
class Line:
    """One counted zone's day."""

    zone: Zone
    street: str
    seen: timedelta
    """How long its camera saw anything: of the rest nothing is said."""
    mean: float | None
    most: int | None
    most_at: datetime | None
    """The hour of it."""


@dataclass(frozen=True, kw_only=True)
class Report:
    district: str
    lines: tuple[Line, ...]
    warnings: tuple[tuple[Warned, datetime | None], ...]

    @property
    def unanswered(self) -> int:
        return sum(one.by is None for one, _ in self.warnings)


def line(zone: Zone, street: str, hours: Sequence[Span], seen: timedelta) -> Line:
    looks = sum(span.looks for span in hours)
    peak = max(hours, key=lambda span: (span.most, -span.began.timestamp()), default=None)
    return Line(
        zone=zone,
        street=street,
        seen=seen,
        mean=sum(span.bodies * span.looks for span in hours) / looks if looks else None,
        most=peak.most if peak else None,
        most_at=peak.began if peak else None,
    )


def reports(lines: Iterable[tuple[str, Line]], warnings: Iterable[tuple[Warned, datetime | None]]) -> list[Report]:
    """A district each, by name; its fullest street first."""
    by_name: dict[str, list[Line]] = defaultdict(list)
    warned: dict[str, list[tuple[Warned, datetime | None]]] = defaultdict(list)
    for district, one in lines:
        by_name[district].append(one)
    for told in warnings:
        warned[told[0].district].append(told)
    return [
        Report(
            district=name,
            lines=tuple(sorted(by_name[name], key=lambda one: (-(one.most or 0), one.street))),
            warnings=tuple(warned[name]),
        )
        for name in sorted(by_name.keys() | warned.keys())
    ]
