"""A street's minutes and hours: the same whatever order its measures come in, and however often."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central.crowd import service as crowd
from central.history import service
from central.history.service import HOUR_S, MINUTE_S, Keep
from central.history.tables import street_purge, street_rollup
from models.wire.events import Counts, CrowdMeasured, Flow, join
from tests.central.city import NOW, City


def measure(city: City, people: int, *, at: datetime, **more: Any) -> bytes:
    counts = Counts(person=people, motorbike=2)
    data = CrowdMeasured(zone="road", counts=counts, low=people, high=people + 5, basis="detector", **more)
    return join([city.event(data, time=at)])


def spans(city: City, span_s: int) -> list[dict[str, Any]]:
    return [row for row in city.rows(street_rollup, "site", "edge", "camera", "zone") if row["span_s"] == span_s]


def test_a_minute_holds_the_sum_the_least_and_the_most_of_what_was_told(city: City) -> None:
    at = NOW.replace(second=5)
    city.take(
        measure(city, 10, at=at, density=0.29, flow=Flow(in_=3.4, out=0.1)),
        measure(city, 30, at=at + timedelta(seconds=50)),
    )
    (minute,) = spans(city, MINUTE_S)
    assert minute["began"] == NOW
    assert (minute["looks"], minute["people"], minute["vehicles"], minute["most"]) == (2, 40, 4, 32)
    assert (minute["low"], minute["high"]) == (10, 35)
    assert (minute["densities"], minute["density_centi"]) == (1, 29)
    assert (minute["flows"], minute["in_deci"], minute["out_deci"]) == (1, 34, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (2, 1, 0)])
def test_any_order_and_any_repetition_leave_the_same_rows(city: City, order: tuple[int, ...]) -> None:
    told = [measure(city, n, at=NOW + timedelta(seconds=40 * n), density=0.1 * n) for n in (1, 2, 3)]
    for one in order:
        city.take(told[one])
    city.take(*told)
    assert [row["looks"] for row in spans(city, HOUR_S)] == [3]
    assert [row["density_centi"] for row in spans(city, HOUR_S)] == [60]
    assert sorted(row["people"] for row in spans(city, MINUTE_S)) == [1, 2, 3]


def test_a_day_that_comes_late_is_folded_into_its_own_hours(city: City) -> None:
    yesterday = NOW - timedelta(hours=20)
    city.take(measure(city, 7, at=yesterday), now=NOW)
    assert [row["began"] for row in spans(city, HOUR_S)] == [yesterday.replace(minute=0, second=0)]


def test_what_could_come_twice_unknown_or_has_no_time_stands_in_no_curve(city: City) -> None:
    city.take(
        measure(city, 7, at=NOW - timedelta(days=31)),
        measure(city, 7, at=NOW + timedelta(hours=1)),
        measure(city, 7, at=datetime(1971, 1, 1, tzinfo=UTC)),
    )
    assert city.count(street_rollup) == 0


def test_an_absurd_count_does_not_spoil_the_sums(city: City) -> None:
    for _ in range(3):
        city.take(measure(city, 2**30, at=NOW))
    city.take(measure(city, 5, at=NOW))
    assert [row["people"] for row in spans(city, HOUR_S)] == [3_000_005]


async def purged(engine: AsyncEngine, keep: Keep) -> int | None:
    return await service.purge(engine, keep, NOW, since=NOW - timedelta(hours=6), warnings=crowd.forget_warnings)


def test_the_nights_purge_takes_old_minutes_and_old_hours_once_and_proves_it(city: City) -> None:
    for days in (0, 7, 9, 29):
        city.take(measure(city, 3, at=NOW - timedelta(days=days)))

    async def purge(engine: AsyncEngine) -> list[int | None]:
        keep = Keep(minute_days=8, hour_days=20)
        return [await purged(engine, keep) for _ in range(2)]

    assert city.run(purge) == [3, None]
    assert len(spans(city, MINUTE_S)) == 2
    assert len(spans(city, HOUR_S)) == 3
    (row,) = city.rows(street_purge)
    assert (row["minutes"], row["hours"], row["warnings"], row["left"]) == (2, 1, 0, 0)
