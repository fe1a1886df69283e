from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes.outcome import Outcome
from models.wire import events

MOMENT = datetime(2021, 9, 21, 6, tzinfo=UTC)
words = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
fractions = st.floats(0, 1)
counts = st.builds(events.Counts, person=st.integers(0, 999), motorbike=st.integers(0, 999))
outcomes = st.sampled_from(Outcome)
reasons = st.lists(words, max_size=3).map(tuple)
data = st.one_of(
    st.builds(
        events.PassScanned,
        kind=words,
        sealed=words,
        facts=st.dictionaries(words, st.one_of(words, st.booleans(), st.integers(-(2**53), 2**53)), max_size=4),
        signature=st.sampled_from(["valid", "invalid", "unknown_key", "none"]),
        local=st.builds(events.Local, outcome=outcomes, reasons=reasons),
    ),
    st.builds(
        events.PassShown,
        scan=words,
        outcome=outcomes,
        reasons=reasons,
        by=st.sampled_from(["edge", "central"]),
        after_ms=st.integers(0, 10_000),
    ),
    st.builds(
        events.ZoneBreached,
        phase=st.sampled_from(["open", "update", "close"]),
        incident=words,
        zone=words,
        track=st.integers(0, 2**31),
        box=st.tuples(fractions, fractions, fractions, fractions),
        foot=st.tuples(fractions, fractions),
        left_at=st.floats(0, 1e9),
        reported_at=st.floats(0, 1e9),
        certainty=st.sampled_from(["left", "probable"]),
    ),
    st.builds(
        events.CrowdLevel,
        zone=words,
        level=st.one_of(st.integers(0, 4), st.just("paused")),
        since=st.floats(0, 1e9),
        counts=counts,
    ),
    st.builds(
        events.OutboxThinned,
        type=words,
        ranges=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=3).map(tuple),
        count=st.integers(0, 999),
    ),
)
every_event = st.builds(
    events.Event,
    id=st.uuids().map(str),
    site=names,
    edge=names,
    camera=names,
    time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    clock=st.sampled_from(["synced", "holdover", "unset"]),
    sequence=st.integers(0, 10**17),
    epoch=names,
    data=data,
    dataref=st.one_of(st.none(), st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
)


def shown(**changed: object) -> events.Event:
    return events.Event(
        id="e1",
        site="cp-014",
        edge="edge-01",
        camera="cam-1",
        time=MOMENT,
        clock="synced",
        sequence=7,
        epoch="k3f9",
        data=events.PassShown(scan="e0", outcome=Outcome.PASS, reasons=(), by="central", after_ms=4),
        **changed,  # type: ignore[arg-type]  # one field at a time, named by the test
    )


@given(every_event)
def test_any_event_survives_the_wire(event: events.Event) -> None:
    assert events.read(events.open_envelope(events.encode(event))) == event


@given(st.lists(every_event, max_size=4))
def test_any_batch_splits_into_what_was_joined(batch: list[events.Event]) -> None:
    encoded = [events.encode(event) for event in batch]
    assert events.split(events.join(encoded)) == encoded


@given(st.binary(max_size=200))
def test_no_payload_breaks_the_reader(payload: bytes) -> None:
    with pytest.raises(events.Unreadable):
        events.read(events.open_envelope(payload))


@pytest.mark.parametrize("payload", [b"", b"{}", b"[1,", b"\xff\xfe", b'"text"'])
def test_what_is_no_array_is_no_batch(payload: bytes) -> None:
    with pytest.raises(events.Unreadable, match="not a CloudEvents batch"):
        events.split(payload)


def test_what_is_absent_is_absent_and_never_null() -> None:
    said = events.encode(shown())
    assert b"null" not in said
    assert b"dataref" not in said


def test_an_event_is_a_cloudevent() -> None:
    said = events.as_builtins(shown())
    assert said["specversion"] == "1.0"
    assert said["source"] == "/cp-014/edge-01/cam-1"
    assert said["type"] == "pass.shown.v1"
    assert said["sequence"] == "7"
    assert said["time"] == "2021-09-21T06:00:00Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(events.Unreadable, match="time"):
        events.open_envelope(events.encode(shown()).replace(b"06:00:00Z", b"06:00:00"))


def test_a_receipt_says_only_what_there_is_to_say() -> None:
    assert events.to_json(events.Receipt(epoch="k", ranges=((1, 2),))) == b'{"epoch":"k","ranges":[[1,2]]}'


def test_a_bad_answer_names_its_field() -> None:
    with pytest.raises(events.Unreadable, match=r"Receipt: .*ranges"):
        events.from_json(b'{"epoch":"k"}', events.Receipt)
