"""Phố Huế is seen by three cameras; its district is Hai Bà Trưng."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.crowd import service
from central.crowd.load import Feature
from central.crowd.rules import State, Warned
from central.notify import service as notify
from central.notify.rules import Kind
from central.notify.tables import message
from models.wire.events import Counts, CrowdLevel, join
from tests.central.city import NOW, City

STREET = Feature.model_validate(
    {
        "type": "Feature",
        "properties": {
            "street": "Phố Huế",
            "district": "Hai Bà Trưng",
            "zones": [f"cp-014/cam-{number}/road" for number in (1, 2, 3)],
        },
    }
)


@pytest.fixture
def streets(city: City) -> City:
    async def put(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await service.put_streets(connection, [STREET])

    city.run(put)
    return city


def level(city: City, camera: int, told: Any, *, after_s: float = 0.0, zone: str = "road") -> bytes:
    data = CrowdLevel(zone=zone, level=told, since=0.0, counts=Counts(person=30))
    return join([city.event(data, camera=f"cam-{camera}", time=NOW + timedelta(seconds=after_s))])


def warnings(city: City) -> list[Warned]:
    async def read(engine: AsyncEngine) -> list[Warned]:
        async with db.reading(engine) as connection:
            return await service.open_warnings(connection)

    return city.run(read)


def answer(city: City, state: State, places: tuple[str, ...] = ()) -> bool:
    async def press(engine: AsyncEngine) -> bool:
        async with db.writing(engine) as connection:
            (waiting,) = await service.open_warnings(connection)
            return await service.answer(connection, waiting.id, state, by="Lan", note="hội chợ", now=NOW, places=places)

    return city.run(press)


def test_a_street_that_three_cameras_see_is_one_warning_to_its_district(streets: City) -> None:
    for camera in (1, 2, 3):
        streets.take(level(streets, camera, 3))
    (warned,) = warnings(streets)
    assert (warned.street, warned.district, warned.level, warned.state) == ("Phố Huế", "Hai Bà Trưng", 3, "sent")


def test_a_warning_closes_by_itself_when_the_level_falls_and_not_when_a_camera_goes_blind(streets: City) -> None:
    streets.take(level(streets, 1, 3))
    streets.take(level(streets, 1, "paused", after_s=30))
    assert len(warnings(streets)) == 1
    streets.take(level(streets, 1, 2, after_s=60))
    assert warnings(streets) == []


def test_a_blind_camera_and_a_calm_street_warn_nobody(streets: City) -> None:
    streets.take(level(streets, 1, "paused"), level(streets, 2, 2))
    assert warnings(streets) == []


def test_what_happened_an_hour_ago_warns_nobody(streets: City) -> None:
    streets.take(level(streets, 1, 4, after_s=-3600))
    assert warnings(streets) == []


def test_a_zone_of_no_street_warns_nobody(streets: City) -> None:
    streets.take(level(streets, 1, 4, zone="yard"))
    assert warnings(streets) == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_whatever_order_levels_come_in_the_same_warning_stands(streets: City, order: tuple[int, ...]) -> None:
    told = [level(streets, 1, 3), level(streets, 1, 1, after_s=20), level(streets, 2, 4, after_s=10)]
    for one in order:
        streets.take(told[one])
    assert [(one.street, one.level) for one in warnings(streets)] == [("Phố Huế", 4)]


def test_a_dismissed_warning_rests_until_it_gets_worse(streets: City) -> None:
    streets.take(level(streets, 1, 3))
    assert answer(streets, State.DISMISSED)
    streets.take(level(streets, 2, 3, after_s=5))
    assert [(one.state, one.by, one.note) for one in warnings(streets)] == [("dismissed", "Lan", "hội chợ")]
    streets.take(level(streets, 2, 4, after_s=10))
    assert [(one.state, one.level) for one in warnings(streets)] == [("sent", 4)]


def test_an_answer_that_comes_second_or_from_another_place_changes_nothing(streets: City) -> None:
    streets.take(level(streets, 1, 3))
    assert not answer(streets, State.ACKNOWLEDGED, places=("cp-999",))
    assert answer(streets, State.TOLD, places=("cp-014",))
    assert not answer(streets, State.ACKNOWLEDGED)
    assert [one.state for one in warnings(streets)] == ["told"]


def test_the_district_hears_outside_the_browser_once_and_again_when_it_gets_worse(streets: City) -> None:
    async def add(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            for name, place in (("trực ban quận", "Hai Bà Trưng"), ("quận khác", "Ba Đình")):
                await notify.put(
                    connection, streets.keys, name=name, address="json://127.0.0.1/", kinds=[Kind.STREET],
                    places=[place], lang="vi", by="lan", now=NOW,
                )  # fmt: skip

    streets.run(add)
    streets.take(level(streets, 1, 3))
    streets.take(level(streets, 2, 3, after_s=2))
    streets.take(level(streets, 2, 4, after_s=5), level(streets, 1, 4, after_s=6))
    told = streets.rows(message)
    assert sorted(row["title"] for row in told) == ["Phố Huế (Hai Bà Trưng): Quá đông", "Phố Huế (Hai Bà Trưng): Đông"]
    assert all("Khuyến cáo" in row["body"] for row in told)
    for camera in (1, 2):
        streets.take(level(streets, camera, 1, after_s=20))
    streets.take(level(streets, 1, 3, after_s=30))
    assert len(streets.rows(message)) == 3, "a street that gets crowded again is told again"
