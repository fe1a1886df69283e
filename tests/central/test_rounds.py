"""The night's purge takes what is too old, once, and proves it."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from central import rounds
from central.inbox.tables import event
from central.inbox.tables import purge as purges
from models.wire.events import Counts, CrowdLevel, join
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
