"""A dead letter can be looked at, and after a fix it is an event like any other."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.inbox import letters
from central.inbox.intake import Desk
from central.inbox.letters import Replayed
from central.inbox.tables import dead_letter, event
from models.passes.policy import load as load_policy
from models.wire import events
from models.wire.events import Counts, CrowdLevel, CrowdMeasured, join
from tests.central.city import NOW, City

LATER = NOW + timedelta(hours=1)
LEVEL = CrowdLevel(zone="street", level=2, since=1.0, counts=Counts())


def replay(city: City) -> Replayed:
    policy = load_policy(city.root / "configs/policies/directive-22.json")

    async def step(engine: AsyncEngine) -> Replayed:
        return await letters.replay(Desk(engine=engine, keys=city.keys, policy=policy), LATER)

    return city.run(step)


def test_what_a_newer_release_can_read_becomes_an_event_and_leaves_the_letters(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.delitem(events._data, "crowd.level.v1")  # a release that does not know the type yet
        taken = city.take(join([city.event(LEVEL), city.event(LEVEL), b'{"type":"tube.paired.v9"}']))
        assert (taken.new, taken.dead) == (0, 3)
        assert replay(city).still == 3
    done = replay(city)
    assert (done.used, done.still) == (2, 1)
    assert city.count(event) == 2
    (left,) = city.rows(dead_letter)
    assert left["tried_at"] == LATER
    assert (replay(city).used, city.count(dead_letter)) == (0, 1)


def test_a_message_that_was_no_batch_is_tried_as_it_came(city: City) -> None:
    for payload in (b"", b"junk", b"{}", b"[1,"):
        city.take(payload)
    assert (replay(city).used, city.count(dead_letter)) == (0, 4)


def test_what_the_database_refused_is_tried_again(city: City) -> None:
    huge = CrowdMeasured(zone="z", counts=Counts(), low=2**40, high=2**40, basis="motion")
    dead = city.take(join([city.event(huge)])).dead
    assert replay(city).still == dead


def test_a_letter_that_was_replayed_and_not_yet_taken_out_causes_nothing_twice(city: City) -> None:
    told = city.event(LEVEL)
    city.take(join([told]))

    async def leave_behind(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            await connection.execute(
                dead_letter.insert().values(
                    digest=b"d" * 32, topic="v1/cp-014/edge-01/event", payload=told, reason="type", received_at=NOW
                )
            )

    city.run(leave_behind)
    assert replay(city).used == 1
    assert (city.count(event), city.count(dead_letter)) == (1, 0)
