from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service
from central.alerts.service import Acknowledged, Taken
from models.wire.events import ZoneBreached, join
from tests.central.city import NOW, City


def test_of_two_who_acknowledge_one_gets_it_and_the_other_is_told_who(city: City) -> None:
    left = ZoneBreached(
        phase="open",
        incident="i1",
        zone="yard",
        track=1,
        box=(0.1, 0.1, 0.1, 0.2),
        foot=(0.15, 0.3),
        left_at=1.0,
        reported_at=2.0,
        certainty="left",
    )
    city.take(join([city.event(left)]))

    async def press(engine: AsyncEngine) -> list[Acknowledged | Taken]:
        async with db.reading(engine) as connection:
            (waiting,) = await service.open_alerts(connection)
        answers = []
        for by in ("Lan", "Minh"):
            async with db.writing(engine) as connection:
                answers.append(await service.acknowledge(connection, waiting.id, by, NOW))
        return answers

    assert city.run(press) == [Acknowledged("Lan"), Taken("Lan")]
