"""What one central commits, the screens of another hear of."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.inbox.tables import dead_letter
from central.live import ALERTS, HEALTH, Screens
from tests.central.city import NOW, City


async def render(*_: object) -> str:
    return "<p></p>"


def versions(screens: Screens) -> list[int]:
    return [screens._versions[topic] for topic in (ALERTS, HEALTH)]


@pytest.mark.timeout(120)
def test_the_screens_of_every_replica_hear_of_a_change(city: City) -> None:
    async def two(engine: AsyncEngine) -> tuple[list[int], list[int]]:
        one, other = (Screens({ALERTS: render, HEALTH: render}, engine) for _ in range(2))
        tasks = [asyncio.create_task(screens.run()) for screens in (one, other)]
        for screens in (one, other):
            screens._loop = asyncio.get_running_loop()  # somebody reads
        await asyncio.sleep(2)  # until both listen; a change before that is seen with the first state
        before = versions(other)
        async with db.writing(engine) as connection:
            row = {"digest": b"1", "topic": "", "payload": b"", "reason": "", "received_at": NOW}
            await connection.execute(dead_letter.insert().values(row))
        one.touch(ALERTS)
        while versions(other)[0] == before[0]:  # noqa: ASYNC110  (the feed wakes its readers, and there is none)
            await asyncio.sleep(0.05)
        after = versions(other)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return before, after

    before, after = city.run(two)
    assert after[0] > before[0]
