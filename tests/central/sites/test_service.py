from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.sites import service
from central.sites.rules import Coverage
from models.wire.events import CameraHealth, EdgeState
from models.wire.topics import Box
from tests.central.city import NOW, City

pytestmark = pytest.mark.service


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def told(city: City, second: float, state: str, since: float, *, ahead_s: float = 0.0) -> None:
    """A heartbeat whose box's clock is ahead."""
    health = CameraHealth(state=state, reason="pictures", watch="quarantine", mode="armed", since=at(since + ahead_s))
    word = EdgeState(state="online", boot="b1", at=at(second + ahead_s), cameras={"cam-1": health})

    async def step(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            one = service.Told(box=Box("cp-014", "edge-01"), state=word, replayed=False)
            await service.record_states(connection, [one], at(second))

    city.run(step)


def covered(city: City, since: float, until: float) -> Coverage:
    async def step(engine: AsyncEngine) -> Coverage:
        async with db.reading(engine) as connection:
            found = await service.coverage(connection, at(since), at(until))
        return found["cp-014", "edge-01", "cam-1"]

    return city.run(step)


def test_what_a_camera_saw_sums_to_the_whole_and_a_step_of_the_boxs_clock_changes_nothing(city: City) -> None:
    told(city, 0, "live", 0)
    told(city, 5, "live", 0)
    told(city, 10, "stalled", 7, ahead_s=3600.0)
    told(city, 60, "stalled", 7, ahead_s=3600.0)
    told(city, 65, "blind", 62, ahead_s=3600.0)
    found = covered(city, 0, 100)
    assert (found.seen.seconds, found.stalled.seconds, found.blind.seconds, found.unknown.seconds) == (5, 53, 3, 39)
