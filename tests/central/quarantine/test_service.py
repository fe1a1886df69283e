"""Nguyễn Văn An is named as the one who left; the next gate knows it."""

from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts import service as alerts
from central.quarantine import service
from central.registry.rules import Row
from central.registry.service import take_rows
from models.wire.events import ZoneBreached, join
from tests.central.city import NOW, City

AN = "001080000015"


def breach(**told: object) -> ZoneBreached:
    first = {"phase": "open", "incident": "i1", "zone": "yard", "track": 1, "left_at": 1.0, "reported_at": 2.0}
    return ZoneBreached(**first | {"box": (0.1, 0.1, 0.1, 0.2), "foot": (0.15, 0.3), "certainty": "left"} | told)  # type: ignore[arg-type]


def test_who_is_named_as_the_one_who_left_is_stopped_at_the_next_gate(city: City) -> None:
    row = Row(ids=(("cccd", AN),), name="NGUYEN VAN AN", birth="1980-01-01", sex="", ward="", facts=())
    city.run(lambda engine: take_rows(engine, city.keys, {2: row}, "test", NOW))
    city.take(join([city.event(breach())]))

    async def name(engine: AsyncEngine) -> bytes | None:
        async with db.writing(engine) as connection:
            (left,) = await alerts.open_alerts(connection)
            known = await service.named(connection, city.keys, AN)
            assert known is not None
            await service.break_order(connection, known, left, by="lan", now=NOW)
            return await service.named(connection, city.keys, "001080000099")

    assert city.run(name) is None, "nobody of that number is known"
    ((_, verdict),) = city.take(join([city.scan(AN, "NGUYEN VAN AN")])).verdicts
    assert (verdict.outcome, "order_broken" in verdict.reasons) == ("FAIL", True)
