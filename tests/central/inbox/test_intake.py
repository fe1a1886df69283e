"""Whatever the wire does to events, the same rows stand at the end, once each."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db, keys
from central.alerts.tables import alert
from central.crowd.tables import street_level
from central.inbox.intake import Message, Taken, take_states
from central.inbox.tables import dead_letter, event
from central.quarantine.tables import incident
from central.registry.rules import Row, Told
from central.registry.service import take_rows
from central.sites.rules import Gap
from central.sites.service import gaps as find_gaps
from models.passes.outcome import Outcome
from models.wire.events import Counts, CrowdLevel, CrowdMeasured, EdgeState, OutboxThinned, ZoneBreached, join, to_json
from tests.central.city import NOW, City


def breach(phase: Any, name: str = "i1") -> ZoneBreached:
    return ZoneBreached(
        phase=phase,
        incident=name,
        zone="yard",
        track=1,
        box=(0.1, 0.1, 0.1, 0.2),
        foot=(0.15, 0.3),
        left_at=1.0,
        reported_at=2.0,
        certainty="left",
    )


def story(city: City) -> list[bytes]:
    city.sequence = 0
    return [
        city.event(breach("open"), dataref="a" * 64),
        city.event(CrowdLevel(zone="street", level=2, since=1.0, counts=Counts(person=9))),
        city.event(breach("update"), time=NOW + timedelta(seconds=1)),
        city.event(CrowdLevel(zone="street", level="paused", since=2.0, counts=Counts())),
        city.event(breach("close"), time=NOW + timedelta(seconds=2)),
    ]


async def gaps(engine: AsyncEngine) -> list[Gap]:
    async with db.reading(engine) as connection:
        return await find_gaps(connection)


def state(city: City) -> list[Any]:
    return [city.rows(table, "id", "received_at") for table in (event, alert, incident, street_level)]


def test_duplicates_cause_nothing_and_are_receipted_again(city: City) -> None:
    batch = join(story(city))
    first, again = city.take(batch, batch), city.take(batch)
    assert (first.new, again.new, again.known) == (5, 0, 5)
    assert first.receipts == again.receipts
    assert first.receipts[0][1].ranges == ((1, 5),)
    assert (city.count(event), city.count(alert)) == (5, 1)
    assert city.rows(alert)[0]["count"] == 3


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.permutations(range(5)), again=st.lists(st.integers(0, 4), max_size=4), cut=st.integers(1, 4))
def test_any_order_and_repetition_gives_the_same_rows(
    order: list[int], again: list[int], cut: int, project_root: Path
) -> None:
    ended = []
    for sent in (list(range(5)), order + again):
        with tempfile.TemporaryDirectory() as folder:
            city = City(f"sqlite+aiosqlite:///{folder}/c.db", keys.load(Path(folder)), project_root)
            city.upgrade()
            told = story(city)
            city.take(join([told[i] for i in sent[:cut]]))
            city.take(join([told[i] for i in sent[cut:]]))
            ended.append(state(city))
    assert ended[0] == ended[1]


def test_an_unreadable_element_is_a_dead_letter_and_the_others_are_kept(city: City) -> None:
    taken = city.take(join([b'{"epoch":"k3f9","sequence":"7"}', *story(city), b'{"type":"tube.paired.v9"}']))
    assert (taken.new, taken.dead) == (5, 2)
    receipt = taken.receipts[0][1]
    assert receipt.ranges == ((1, 5), (7, 7))
    assert receipt.rejected == ((7, "envelope"),)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"{}", b"[", b"[1,null]", b'["\\u0000"]', b"[" * 5000])
def test_a_malformed_payload_is_kept_once_and_nothing_else_happens(city: City, payload: bytes) -> None:
    for _ in range(2):
        taken = city.take(payload)
        assert (taken.receipts, taken.new) == ((), 0)
    assert city.count(dead_letter) >= 1
    assert city.count(event) == 0


def test_an_event_of_another_box_is_refused(city: City) -> None:
    taken = city.take(join([city.event(breach("open")).replace(b"edge-01", b"edge-02")]))
    assert taken.receipts[0][1].rejected == ((1, "source"),)


def test_a_name_that_no_index_takes_is_refused(city: City) -> None:
    taken = city.take(join([city.event(breach("open", "x" * 100_000)), city.event(breach("open"))]))
    assert (taken.new, taken.dead) == (1, 1)


def test_a_late_breach_is_kept_but_does_not_ring(city: City) -> None:
    city.take(join([city.event(breach("open"), time=NOW - timedelta(hours=1))]))
    assert city.rows(alert)[0]["late"] is True


def test_the_registry_decides(city: City) -> None:
    declared = NOW - timedelta(hours=1)

    def person(number: str, *facts: Told) -> Row:
        return Row((("cccd", number),), "Nguyễn Văn An", "1980-01-02", "male", "Ba Đình", facts)

    people = {
        2: person("001080000001", Told("declared_at", declared)),
        3: person("001080000002", Told("declared_at", declared), Told("status_f0", True)),
    }
    city.run(lambda engine: take_rows(engine, city.keys, people, "test", NOW - timedelta(minutes=1)))
    scans = [
        city.scan("001080000001", "NGUYEN VAN AN"),
        city.scan("001080000002", "Nguyễn Văn An"),
        city.scan("001080000003", "Nguyễn Văn An"),
        city.scan("001080000001", "Trần Thị Bình"),
    ]
    answers = {verdict.scan: verdict for _, verdict in city.take(join(scans)).verdicts}
    outcomes = [answers[f"event-{number}"].outcome for number in (1, 2, 3, 4)]
    assert outcomes == [Outcome.PASS, Outcome.FAIL, Outcome.CHECK, Outcome.CHECK]


def test_what_is_wrong_with_the_code_itself_reaches_the_decision(city: City) -> None:
    person = Row((("cccd", "001080000001"),), "Nguyễn Văn An", "1980-01-02", "male", "", (Told("declared_at", NOW),))
    city.run(lambda engine: take_rows(engine, city.keys, {2: person}, "test", NOW))
    ((_, verdict),) = city.take(join([city.scan("001080000001", "An", reasons="province century")])).verdicts
    assert verdict.outcome is Outcome.CHECK
    assert {"province", "century"} <= set(verdict.reasons)


def test_an_old_scan_is_decided_but_gets_no_verdict(city: City) -> None:
    taken = city.take(join([city.scan("001080000001", "An")]), now=NOW + timedelta(seconds=3))
    assert (taken.new, taken.verdicts) == (1, ())


def test_what_has_not_come_can_be_named(city: City) -> None:
    told = story(city)
    city.take(join([told[0], told[3]]))
    city.take(join([told[4], told[0]]))
    (found,) = city.run(gaps)
    assert (found.missing, found.ranges, found.repeated) == (2, ((2, 3),), 1)


def test_thinned_and_rejected_sequences_are_not_missing(city: City) -> None:
    city.sequence = 6
    thinned = city.event(OutboxThinned(type="crowd.measured.v1", ranges=((1, 5),), count=5))
    city.take(join([thinned, b'{"epoch":"k3f9","sequence":"6"}']))
    (found,) = city.run(gaps)
    assert (found.last, found.missing) == (7, 0)


def test_a_box_that_asks_hears_what_has_come(city: City) -> None:
    told = story(city)
    city.take(join([told[0], told[1], told[4]]))
    state = EdgeState(state="online", boot="b", epoch="k3f9", unsure=((1, 2), (4, 9)))

    async def ask(engine: AsyncEngine) -> Taken:
        return await take_states(engine, [Message("v1/cp-014/edge-01/state", to_json(state))], NOW)

    ((_, receipt),) = city.run(ask).receipts
    assert receipt.ranges == ((1, 2), (5, 5))


def test_an_event_that_the_database_refuses_is_buried_and_the_others_are_kept(city: City) -> None:
    huge = CrowdMeasured(zone="z", counts=Counts(), low=2**40, high=2**40, basis="motion")
    taken = city.take(join([*story(city), city.event(huge)]))
    assert city.count(event) + taken.dead == 6
    assert taken.new >= 5


def test_evidence_is_countersigned_in_the_receipt(city: City) -> None:
    name = "ab" * 32
    (_, receipt), *_ = city.take(join([city.event(breach("open"), dataref=name)])).receipts
    assert receipt.evidence == {name: city.keys.countersign(name, NOW)}
