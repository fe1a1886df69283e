"""Published policies, two places at once, a photo by chance, an officer's word: what central makes of each."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.alerts.tables import alert
from central.passes import rules, service
from central.passes.service import Preview
from central.passes.tables import decision, policy
from central.registry.rules import Row, Told
from central.registry.service import take_rows
from central.registry.tables import fact
from models.passes.outcome import Outcome
from models.passes.policy import BadPolicy
from models.wire import events
from models.wire.events import Local, PassOverridden, PassScanned, PassShown
from models.wire.seal import Identity, seal
from tests.central.city import NOW, TOPIC, City

AN = "001080000001"
OTHER = TOPIC.replace("cp-014", "cp-099")
NAME = "Nguyễn Văn An"


def decree(hours: float, **more: Any) -> bytes:
    """Nobody passes who is known; from so many hours before now."""
    begun = (NOW - timedelta(hours=hours)).isoformat()
    needs = [{"fact": "declared_at", "absent": "no_declaration"}]
    row = {
        "id": "closed",
        "when": {"var": "declared_at"},
        "outcome": "FAIL",
        "reason": "order_elsewhere",
        "needs": needs,
    }
    return json.dumps({"name": "closed", "effective_from": begun, "rows": [row | {"needs": needs}], **more}).encode()


@pytest.fixture
def resident(city: City) -> None:
    row = Row((("cccd", AN),), NAME, "1980", "male", "Ba Đình", (Told("declared_at", NOW - timedelta(hours=1)),))
    city.run(lambda engine: take_rows(engine, city.keys, {1: row}, "test", NOW - timedelta(days=1)))


def publish(city: City, document: bytes) -> None:
    async def step(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await service.publish(connection, document, by="admin", now=NOW)

    city.run(step)


def send(city: City, *told: bytes, topic: str = TOPIC, now: datetime = NOW) -> None:
    city.take_at(topic, events.join(told), now=now)


def outcomes(city: City) -> list[str]:
    return [row["outcome"] for row in sorted(city.rows(decision), key=lambda row: row["scan"])]


@pytest.mark.usefixtures("resident")
def test_a_policy_holds_from_its_hour_and_an_old_scan_is_judged_by_that_of_its_day(city: City) -> None:
    publish(city, decree(-1))
    send(city, city.scan(AN, NAME))
    send(city, city.scan(AN, NAME), now=NOW + timedelta(hours=2))
    assert outcomes(city) == ["PASS", "PASS"]  # the second comes late: it was before the hour
    publish(city, decree(1))
    send(city, city.scan(AN, NAME))
    assert outcomes(city)[-1] == "FAIL"


@pytest.mark.usefixtures("resident")
def test_a_new_policy_is_tried_on_last_weeks_scans_and_changes_nothing(city: City) -> None:
    send(city, city.scan(AN, NAME), city.scan("001080000009", "Somebody Else"))

    async def step(engine: AsyncEngine) -> Preview:
        async with db.reading(engine) as connection:
            return await service.preview(connection, decree(-100), NOW - timedelta(days=7))

    assert city.run(step) == Preview(scans=2, changed={("PASS", "FAIL"): 1})
    assert city.count(policy) == 0
    assert sorted(outcomes(city)) == ["CHECK", "PASS"]


def test_what_reads_outside_the_vocabulary_is_not_published(city: City) -> None:
    with pytest.raises(BadPolicy, match="horoscope"):
        publish(city, decree(1).replace(b'"var": "declared_at"', b'"var": "horoscope"'))
    assert city.count(policy) == 0


@pytest.mark.usefixtures("resident")
def test_by_chance_whoever_may_pass_shows_a_photo_and_nobody_else_does(city: City) -> None:
    publish(city, decree(1, photo_percent=100).replace(b'{"var": "declared_at"}', b'{"var": "status_f0"}'))
    send(city, city.scan(AN, NAME))
    (row,) = city.rows(decision)
    assert (row["outcome"], row["reasons"]) == ("CHECK", '["photo_id"]')
    assert json.loads(row["facts"]).keys() >= {"declared_at"}


def at_another(city: City, when: datetime) -> bytes:
    data = PassScanned(
        kind="cccd",
        sealed=seal(Identity(ids=(("cccd", AN),), name=NAME), city.keys.public),
        local=Local(outcome=Outcome.CHECK, reasons=("no_registry",)),
    )
    return city.event(data, time=when).replace(b"/cp-014/", b"/cp-099/")


@pytest.mark.usefixtures("resident")
def test_one_person_at_two_places_at_once_is_an_alert_and_a_flag(city: City) -> None:
    send(city, city.scan(AN, NAME))
    send(city, at_another(city, NOW + timedelta(seconds=5)), topic=OTHER)
    assert [row["kind"] for row in city.rows(alert)] == ["travel"]
    (flag,) = [row for row in city.rows(fact) if row["kind"] == "flagged"]
    assert flag["until"] - flag["from"] == timedelta(hours=24)
    # who has had the time has travelled
    send(city, at_another(city, NOW + timedelta(hours=1)), topic=OTHER)
    assert city.count(alert) == 1


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [((21.03, 105.85), (21.03, 105.85), 1.0), (None, (21.0, 105.0), 1.0), ((21.03, 105.85), (10.78, 106.7), 1143.0)],
)
def test_how_far_two_places_are_apart(one: Any, other: Any, km: float) -> None:
    assert rules.apart_km(one, other) == pytest.approx(km, rel=0.01)


@pytest.mark.usefixtures("resident")
def test_an_officers_word_stands_among_the_alerts(city: City) -> None:
    told = PassOverridden(scan="s", outcome=Outcome.PASS, reason="xe cứu thương", officer="lan")
    send(city, city.event(told))
    (row,) = city.rows(alert)
    assert (row["kind"], row["place"]) == ("overridden", "PASS · lan: xe cứu thương")


@pytest.mark.usefixtures("resident")
def test_where_gate_and_central_differ_somebody_is_told_once(city: City) -> None:
    scan = city.scan(AN, NAME)
    shown = PassShown(scan=f"event-{city.sequence}", outcome=Outcome.FAIL, reasons=("f0",), by="edge", after_ms=250)
    send(city, scan)
    send(city, city.event(shown))
    (row,) = city.rows(alert)
    assert (row["kind"], row["place"]) == ("differs", "FAIL → PASS")


def test_answers_are_counted_into_the_hour_of_the_scan_once_however_late_they_come(city: City) -> None:
    told = [city.event(scan(), time=NOW - timedelta(minutes=age)) for age in (0, 0, 30, 61)]
    send(city, *told[:2])
    send(city, *told, now=NOW + timedelta(hours=3))  # the first two again, and two that were waiting

    async def read(engine: AsyncEngine) -> Any:
        async with db.reading(engine) as connection:
            everywhere = await service.answers(connection, NOW - timedelta(hours=24))
            assert await service.answers(connection, NOW - timedelta(hours=24), ["cp-014"]) == everywhere
            assert await service.answers(connection, NOW - timedelta(hours=24), ["cp-099"]) == {}
            return everywhere

    one_ago, two_ago = NOW - timedelta(hours=1), NOW - timedelta(hours=2)
    assert city.run(read) == {(NOW, Outcome.CHECK): 2, (one_ago, Outcome.CHECK): 1, (two_ago, Outcome.CHECK): 1}


def scan() -> PassScanned:
    return PassScanned(kind="url", local=Local(outcome=Outcome.CHECK, reasons=("no_registry",)))
