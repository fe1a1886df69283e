import json
from pathlib import Path
from typing import Any

import pytest

from models.passes.policy import BadPolicy, load, parse

DIRECTIVE = Path(__file__).resolve().parents[3] / "configs" / "policies" / "directive-22.json"
ROW: dict[str, Any] = {"id": "r1", "when": {"var": "status_f0"}, "outcome": "FAIL", "reason": "f0"}


def document(**row: Any) -> bytes:
    return json.dumps({"name": "p", "effective_from": "2021-09-21T06:00:00+07:00", "rows": [{**ROW, **row}]}).encode()


def refused(raw: bytes) -> str:
    with pytest.raises(BadPolicy) as caught:
        parse(raw, name="p.json")
    return str(caught.value)


def test_the_first_policy_loads() -> None:
    policy = load(DIRECTIVE)
    assert policy.name == "directive-22"
    assert policy.effective_from.isoformat() == "2021-09-21T06:00:00+07:00"


def test_a_policy_is_known_by_its_content() -> None:
    assert parse(document(), name="a").id == parse(document(), name="b").id
    assert parse(document(), name="a").id != parse(document(outcome="CHECK"), name="a").id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"when": {"var": "blood_type"}},
            "p.json: row r1: when reads 'blood_type', which is not in the vocabulary; use",
        ),
        ({"when": {"var": ""}}, "p.json: row r1: when reads '', which is not in the vocabulary; use one of: known"),
        ({"when": {"or": [1, 2]}}, "p.json: row r1: when: 'or' is no operation; use one of: var, if"),
        (
            {"needs": [{"fact": "blood_type"}]},
            "p.json: row r1: needs 'blood_type', which is no fact; use one of: known",
        ),
        ({"reason": "because"}, "p.json: row r1: reason 'because' has no text; use one of: f0"),
        ({"needs": [{"fact": "known", "stale": "old"}]}, "p.json: row r1: reason 'old' has no text"),
    ],
)
def test_a_bad_row_is_named_with_what_to_do(row: dict[str, Any], message: str) -> None:
    assert refused(document(**row)).startswith(message)


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({"outcome": "PASS"}, "$.rows[0].outcome"),
        ({"colour": "red"}, "$.rows[0]"),
        ({"needs": [{"fact": "known", "max_age_hours": 0}]}, "max_age_hours"),
    ],
)
def test_a_bad_field_is_named_with_its_place(row: dict[str, Any], place: str) -> None:
    assert place in refused(document(**row))


def test_two_rows_of_one_name_are_refused() -> None:
    raw = json.loads(document())
    raw["rows"] *= 2
    assert refused(json.dumps(raw).encode()) == "p.json: row r1: two rows have this id; name each once"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_policy_is_refused(raw: bytes) -> None:
    assert refused(raw).startswith("p.json: ")


def test_a_file_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadPolicy, match="give the path of a policy file"):
        load(tmp_path / "gone.json")
