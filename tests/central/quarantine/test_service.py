"""Nguyễn Văn An has to be at cp-014; he is named as the one who left, and the next gate knows it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central import db
from central.alerts import service as alerts
from central.quarantine import service
from central.registry.rules import Row
from central.registry.service import take_rows
from models.wire.events import ZoneBreached, join
from models.wire.topics import Box
from tests.central.city import NOW, City

AN = "001080000015"


def breach(**told: object) -> ZoneBreached:
    first = {"phase": "open", "incident": "i1", "zone": "yard", "track": 1, "left_at": 1.0, "reported_at": 2.0}
    return ZoneBreached(**first | {"box": (0.1, 0.1, 0.1, 0.2), "foot": (0.15, 0.3), "certainty": "left"} | told)  # type: ignore[arg-type]


def writing(city: City, step: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
    async def run(engine: AsyncEngine) -> Any:
        async with db.writing(engine) as connection:
            return await step(connection)

    return city.run(run)


def know(city: City) -> bytes:
    row = Row(ids=(("cccd", AN),), name="NGUYEN VAN AN", birth="1980-01-01", sex="", ward="", facts=())
    city.run(lambda engine: take_rows(engine, city.keys, {2: row}, "test", NOW))
    found: bytes = writing(city, lambda c: service.named(c, city.keys, AN))
    return found


def reasons(city: City) -> tuple[str, ...]:
    ((_, verdict),) = city.take(join([city.scan(AN, "NGUYEN VAN AN")])).verdicts
    return verdict.reasons


def test_a_stay_is_an_order_that_gates_know_until_it_ends(city: City) -> None:
    an = know(city)
    number = writing(
        city,
        lambda c: service.admit(c, an, site="qs-003", room="201", from_=NOW, until=None, by="lan", now=NOW),
    )
    assert "order_elsewhere" in reasons(city)
    (stay,) = writing(city, lambda c: service.stays(c, "qs-003", NOW))
    assert (stay.room, stay.holder) == ("201", f"N.V.A. ···{AN[-3:]}")
    assert writing(city, lambda c: service.occupants(c, NOW)) == {"qs-003": 1}
    assert writing(city, lambda c: service.in_room(c, "qs-003", "201", NOW)) == [an]
    assert writing(city, lambda c: service.in_room(c, "qs-003", "202", NOW)) == []
    end = lambda c: service.release(c, number, by="lan", now=NOW)  # noqa: E731
    assert [writing(city, end), writing(city, end)] == [an, None]
    assert "order_elsewhere" not in reasons(city)
    assert writing(city, lambda c: service.stays(c, "qs-003", NOW)) == []


def test_a_stay_that_is_over_by_its_date_counts_no_more(city: City) -> None:
    an, until = know(city), NOW + timedelta(days=14)
    writing(city, lambda c: service.admit(c, an, site="qs-003", room="1", from_=NOW, until=until, by="lan", now=NOW))
    assert writing(city, lambda c: service.occupants(c, until)) == {}


@pytest.mark.parametrize(
    ("quiet", "after", "proven"),
    [
        ("trial", timedelta(minutes=2), True),
        ("trial", timedelta(minutes=16), False),
        ("trial", timedelta(seconds=-1), False),
        ("hours", timedelta(minutes=2), False),
    ],
)
def test_a_walk_test_is_proven_by_a_breach_in_trial_within_its_time(
    city: City, quiet: Literal["trial", "hours"], after: timedelta, proven: bool
) -> None:
    writing(city, lambda c: service.start_walk(c, Box("cp-014", "edge-01"), "cam-1", by="lan", now=NOW))
    walked = [city.event(breach(quiet=quiet), time=NOW + after), city.event(breach(quiet=quiet), time=NOW + after)]
    city.take(join(walked))
    walk = writing(city, service.walks)["cp-014", "edge-01", "cam-1"]
    assert (walk.by, list(walk.proofs)) == ("lan", ["yard"] if proven else [])
    assert writing(city, alerts.open_alerts) == [], "a walk test alarms nobody"


def test_a_walk_that_showed_nothing_leaves_the_last_proof(city: City) -> None:
    box = Box("cp-014", "edge-01")
    writing(city, lambda c: service.start_walk(c, box, "cam-1", by="lan", now=NOW))
    city.take(join([city.event(breach(quiet="trial"), time=NOW + timedelta(minutes=1))]))
    writing(city, lambda c: service.start_walk(c, box, "cam-1", by="minh", now=NOW + timedelta(days=1)))
    assert writing(city, service.walks)["cp-014", "edge-01", "cam-1"].by == "lan"


def test_who_is_named_as_the_one_who_left_is_stopped_at_the_next_gate(city: City) -> None:
    know(city)
    city.take(join([city.event(breach())]))

    async def name(engine: AsyncEngine) -> bytes | None:
        async with db.writing(engine) as connection:
            (left,) = await alerts.open_alerts(connection)
            known = await service.named(connection, city.keys, AN)
            assert known is not None
            await service.break_order(connection, known, left, by="lan", now=NOW)
            return await service.named(connection, city.keys, "001080000099")

    assert city.run(name) is None, "nobody of that number is known"
    assert "order_broken" in reasons(city)


def test_the_last_word_on_an_escort_counts_until_its_time(city: City) -> None:
    box, until = Box("qs-003", "edge-01"), NOW + timedelta(minutes=20)

    async def permit(connection: AsyncConnection) -> None:
        for end, why in ((NOW + timedelta(hours=9), "xe cứu thương"), (until, "đi khám")):
            await service.permit(connection, box, "cam-2", "yard", until=end, why=why, by="Lan")

    writing(city, permit)
    ((key, (one,)),) = writing(city, lambda c: service.escorts(c, NOW)).items()
    assert (key, one.until, one.why) == (("qs-003", "edge-01", "cam-2"), until, "đi khám")
    assert writing(city, lambda c: service.escorts(c, until)) == {}
