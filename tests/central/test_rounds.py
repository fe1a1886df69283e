"""The night's purge takes what is too old, once, and proves it."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from central import db, rounds
from central.inbox.intake import Message, Taken, take_states
from central.inbox.tables import event
from central.inbox.tables import purge as purges
from central.sites.rules import Gap
from central.sites.service import fold_seen
from central.sites.service import gaps as find_gaps
from central.sites.tables import sequence_seen
from models.wire.events import Counts, CrowdLevel, EdgeState, OutboxThinned, join, to_json
from tests.central.city import NOW, City


def test_the_purge_takes_the_old_days_and_writes_down_what_it_took(city: City) -> None:
    level = CrowdLevel(zone="street", level=2, since=1.0, counts=Counts())
    ages = [timedelta(0), timedelta(days=1), timedelta(days=31), timedelta(days=35), timedelta(days=400)]
    city.take(join([city.event(level, time=NOW - age) for age in ages]), b"junk", now=NOW - timedelta(days=32))

    async def purge(engine: AsyncEngine) -> list[int | None]:
        return [await rounds.purge(engine, 30, NOW) for _ in range(2)]

    assert city.run(purge) == [4, None]
    assert city.count(event) == 2
    (row,) = city.rows(purges)
    assert (row["events"], row["letters"], row["left"]) == (3, 1, 0)


def test_what_comes_again_after_the_purge_of_its_day_is_taken(city: City) -> None:
    level = CrowdLevel(zone="street", level=2, since=1.0, counts=Counts())
    city.take(join([city.event(level, time=NOW - timedelta(days=31))]))

    async def purge(engine: AsyncEngine) -> int | None:
        return await rounds.purge(engine, 30, NOW)

    assert city.run(purge) == 1
    city.take(join([city.event(level, time=NOW - timedelta(days=31))]))
    assert city.count(event) == 1


def thinned(city: City, first: int, last: int) -> bytes:
    """The cheapest way to say of many sequences that they need not be waited for."""
    city.sequence = last
    return city.event(OutboxThinned(type="crowd.measured.v1", ranges=((first, last),), count=last - first + 1))


async def gaps(engine: AsyncEngine) -> list[Gap]:
    async with db.reading(engine) as connection:
        return await find_gaps(connection)


def test_what_has_come_wholly_is_two_rows_however_long_a_box_runs(city: City) -> None:
    for night in range(3):
        city.take(join([thinned(city, night * 20_000 + 1, (night + 1) * 20_000)]))
        before = city.run(gaps)
        city.run(fold_seen)
        assert city.run(gaps) == before
        assert city.count(sequence_seen) == 2
    again = EdgeState(state="online", boot="b", epoch="k3f9", unsure=((1, 70_000),))

    async def ask(engine: AsyncEngine) -> Taken:
        return await take_states(engine, [Message("v1/cp-014/edge-01/state", to_json(again))], NOW)

    ((_, receipt),) = city.run(ask).receipts
    assert sum(last - first + 1 for first, last in receipt.ranges) == 60_001


def test_what_never_came_is_forgotten_after_its_time_and_taken_if_it_comes_all_the_same(city: City) -> None:
    old = NOW - timedelta(days=40)
    told = thinned(city, 11, 5_000)
    city.take(join([told]), now=old)
    city.sequence = 5_002
    city.take(join([city.event(CrowdLevel(zone="street", level=2, since=1.0, counts=Counts()))]))
    assert city.run(gaps)[0].missing == 10 + 1

    async def purge(engine: AsyncEngine) -> int | None:
        return await rounds.purge(engine, 30, NOW)

    city.run(purge)
    (row,) = city.rows(purges)
    assert row["missing"] == 10
    assert city.count(sequence_seen) == 1
    city.sequence = 4
    assert city.take(join([city.event(CrowdLevel(zone="late", level=2, since=1.0, counts=Counts()))])).new == 1
