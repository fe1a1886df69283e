from datetime import datetime, timedelta

import pytest
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.sites import service
from central.sites.rules import Coverage
from models.wire.events import CameraHealth, EdgeState, Machine
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


def test_the_boxes_that_want_something_come_first_with_what_they_told_of_themselves(city: City) -> None:
    async def step(engine: AsyncEngine) -> list[tuple[str, tuple[str, ...]]]:
        well = Machine(up_s=9, load=0.1, memory=0.2, disk=0.3)
        words: dict[str, Machine | UnsetType] = {
            "edge-01": well,
            "edge-02": UNSET,
            "edge-03": replace(well, disk=0.97, celsius=51.5),
        }
        async with db.writing(engine) as connection:
            for name, machine in words.items():
                word = EdgeState(state="online", boot="b1", at=NOW, machine=machine)
                one = service.Told(box=Box("cp-014", name), state=word, replayed=False)
                await service.record_states(connection, [one], NOW)
            return [(row.edge, row.wants) for row in await service.edges(connection)]

    assert city.run(step) == [("edge-03", ("disk",)), ("edge-01", ()), ("edge-02", ())]


def test_a_set_clock_is_told_for_itself_and_old_spans_go(city: City) -> None:
    told(city, 0, "live", 0)
    told(city, 5, "live", 0)
    told(city, 10, "live", 0, ahead_s=3600.0)
    told(city, 15, "live", 0, ahead_s=3600.0)

    async def step(engine: AsyncEngine) -> tuple[list[int], int, int]:
        async with db.reading(engine) as connection:
            steps = [round(one.seconds) for one in await service.steps(connection, at(0))]
        kept = await service.purge(engine, at(0))
        return steps, kept, await service.purge(engine, at(60))

    assert city.run(step) == ([3600], 0, 2)


def test_the_age_of_a_picture_is_told_on_our_clock(city: City) -> None:
    async def step(engine: AsyncEngine) -> datetime | None:
        health = CameraHealth(
            state="stalled", reason="no_picture", watch="traffic", mode="armed", since=at(3600), frame_age_s=40.0
        )
        word = EdgeState(state="online", boot="b1", at=at(3700), cameras={"cam-1": health})
        async with db.writing(engine) as connection:
            one = service.Told(box=Box("cp-014", "edge-01"), state=word, replayed=False)
            await service.record_states(connection, [one], at(100))
            return (await service.cameras(connection))[0].picture_at

    assert city.run(step) == at(60)
