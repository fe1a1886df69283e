"""The frozen corpus: what a release spoke, every later one has to understand."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from models.wire import events, schema

CORPUS = Path(__file__).parent / "v1"
ANSWERS: dict[str, Any] = {
    "receipt": events.Receipt,
    "receipt-rejected": events.Receipt,
    "verdict": events.Verdict,
    "edge_state-online": events.EdgeState,
    "edge_state-will": events.EdgeState,
    "central_state": events.CentralState,
}
EVENTS = sorted(CORPUS.glob("event-*.json"))


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_an_event_reads_and_says_the_same_again(path: Path) -> None:
    event = events.read(events.open_envelope(path.read_bytes()))
    assert path.stem.removeprefix("event-").startswith(event.type.removesuffix(".v1"))
    assert events.read(events.open_envelope(events.encode(event))) == event
    frozen = json.loads(path.read_bytes())
    # the same instant may be written with more digits
    assert events.as_builtins(event) | {"time": frozen["time"]} == frozen


def test_every_type_has_a_frozen_event() -> None:
    assert {events.open_envelope(path.read_bytes()).type for path in EVENTS} == set(events.TYPES)


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_the_schema_accepts_every_frozen_event(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_bytes()), schema.json_schema())


@pytest.mark.parametrize("name", ["bad-type", "bad-data", "bad-data-box", "bad-envelope"])
def test_the_schema_refuses_what_we_refuse(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads((CORPUS / f"{name}.json").read_bytes()), schema.json_schema())


def test_a_batch_splits_into_its_events() -> None:
    parts = events.split((CORPUS / "batch.json").read_bytes())
    assert [events.open_envelope(part).sequence for part in parts] == ["41", "42"]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_reads_and_says_the_same_again(name: str) -> None:
    kind = ANSWERS[name]
    read = events.from_json((CORPUS / f"{name}.json").read_bytes(), kind)
    assert msgspec.json.decode(events.to_json(read), type=kind) == read
    part = {"$ref": f"#/$defs/{kind.__name__}", "$defs": schema.json_schema()["$defs"]}
    jsonschema.validate(json.loads((CORPUS / f"{name}.json").read_bytes()), part)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad-type", "type: pass.teleported.v1 is not known here"),
        ("bad-data", r"data: .*MAYBE.*outcome"),
        ("bad-data-box", r"data: .*<= 1.0.*box"),
    ],
)
def test_a_dead_letter_keeps_its_envelope_and_says_why(name: str, message: str) -> None:
    envelope = events.open_envelope((CORPUS / f"{name}.json").read_bytes())
    with pytest.raises(events.Unreadable, match=message):
        events.read(envelope)


def test_an_envelope_without_its_epoch_is_unreadable() -> None:
    with pytest.raises(events.Unreadable, match=r"envelope: .*epoch"):
        events.open_envelope((CORPUS / "bad-envelope.json").read_bytes())


def test_fields_of_a_newer_release_are_ignored() -> None:
    event = events.read(events.open_envelope((CORPUS / "newer-fields.json").read_bytes()))
    assert isinstance(event.data, events.PassShown)
    assert event.data.after_ms == 38
