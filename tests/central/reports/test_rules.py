from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from central.crowd.rules import Warned
from central.history.rules import Span
from central.reports.rules import DAY, HIGH, WIDE, bins, chart, day_of, line, reports
from models import limits

SINCE = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)


def span(minute: float, bodies: float, *, looks: int = 1, density: float | None = None) -> Span:
    return Span(
        began=SINCE + timedelta(minutes=minute), looks=looks, bodies=bodies, most=round(bodies), low=round(bodies) - 1,
        high=round(bodies) + 2, density=density, flow_in=None, flow_out=None,
    )  # fmt: skip


def numbers(path: str) -> list[tuple[float, float]]:
    points = path.replace("M", "L").replace("z", "").split("L")[1:]
    return [(float(x), float(y)) for x, y in (point.split() for point in points)]


def test_a_day_is_viet_nams() -> None:
    assert day_of(date(2026, 11, 24))[0] == SINCE
    assert day_of(date(2026, 11, 24))[1] == SINCE + DAY


def test_five_minutes_weigh_their_looks_and_what_nobody_told_is_a_gap() -> None:
    made = bins([span(0, 10, looks=3), span(4, 30, looks=1), span(12, 5)], SINCE, density=False)
    assert {number: (one.value, one.low, one.high) for number, one in made.items()} == {0: (15, 9, 32), 2: (5, 4, 7)}


def test_where_the_ground_is_measured_the_curve_is_of_density() -> None:
    drawn = chart([span(0, 40, density=3.5), span(5, 40)], [], SINCE, None)
    assert drawn.density
    assert [bin_.value for _, bin_ in drawn.marks] == [3.5]


def test_a_curve_stays_on_the_paper_breaks_at_a_gap_and_draws_the_week_before() -> None:
    before = [span(minute - 7 * 24 * 60, 60) for minute in range(0, 24 * 60, 5)]
    drawn = chart([*(span(m, 20) for m in range(0, 60, 5)), span(600, 500)], before, SINCE, None)
    assert drawn.line.count("M") == 2
    assert drawn.last_week.count("M") == 1
    for x, y in numbers(drawn.line) + numbers(drawn.last_week) + numbers(drawn.band):
        assert 0 <= x <= WIDE
        assert 0 <= y <= HIGH


def test_the_thresholds_are_those_of_each_hour(project_root: Path) -> None:
    directive = limits.read(project_root / "configs/limits/directive-15.json")
    drawn = chart([span(0, 20)], [], SINCE, directive)
    levels = {level: path for level, path, _ in drawn.thresholds}
    assert set(levels) == {1, 2, 3, 4}
    heights = {part.split("h")[0].split()[1] for part in levels[3].split("M")[1:]}
    assert len(heights) == 2, "20, and 40 in the rush hours of a weekday"


def test_an_empty_day_is_an_empty_paper() -> None:
    drawn = chart([], [], SINCE, None)
    assert (drawn.line, drawn.band, drawn.marks, drawn.thresholds) == ("", "", (), ())
    assert drawn.top > 0


def test_a_line_says_the_fullest_hour_and_nothing_of_what_was_not_counted() -> None:
    zone = ("s", "e", "c", "z")
    full = line(zone, "Phố Huế", [span(0, 10, looks=1), span(60, 40, looks=3)], timedelta(hours=20))
    assert (full.mean, full.most, full.most_at) == (32.5, 40, SINCE + timedelta(hours=1))
    none = line(zone, "Phố Huế", [], timedelta())
    assert (none.mean, none.most, none.most_at) == (None, None, None)


@pytest.mark.parametrize("by", [None, "Lan"])
def test_a_report_goes_to_each_district_that_has_a_street_or_a_warning(by: str | None) -> None:
    zone = ("s", "e", "c", "z")
    calm, busy = (line(zone, name, [span(0, bodies)], DAY) for name, bodies in (("A", 1), ("B", 50)))
    warned = Warned(
        id=1, street="C", district="Ba Đình", level=3, first_at=SINCE, state="sent", by=by, by_at=None, note=None
    )
    made = reports([("Đống Đa", calm), ("Đống Đa", busy)], [(warned, None)])
    assert [(one.district, [row.street for row in one.lines], one.unanswered) for one in made] == [
        ("Ba Đình", [], int(by is None)),
        ("Đống Đa", ["B", "A"], 0),
    ]
