from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.calibration import service
from central.calibration.service import Counted
from tests.central.city import NOW, City

ZONE = ("st-1", "edge-01", "cam-1", "road")


def counted(minute: int, seen: int) -> Counted:
    taken_at = NOW + timedelta(minutes=minute)
    return Counted(taken_at=taken_at, seen=seen, counted=10.0, by="Lan", at=taken_at)


def test_a_picture_counts_once_and_the_newest_twenty_are_kept(city: City) -> None:
    async def step(engine: AsyncEngine) -> list[tuple[int, str]]:
        async with db.writing(engine) as connection:
            for minute in range(25):
                await service.put(connection, ZONE, counted(minute, minute))
            await service.put(connection, ZONE, counted(24, 99))
            await service.put(connection, (*ZONE[:3], "walk"), counted(0, 1))
            return [(one.seen, one.by) for one in await service.counts(connection, ZONE)]

    kept = city.run(step)
    assert kept[:2] == [(99, "Lan"), (23, "Lan")]
    assert len(kept) == 20
