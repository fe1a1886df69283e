import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from models.passes.policy import BadPolicy, in_force, load, parse

DIRECTIVE = Path(__file__).resolve().parents[3] / "configs" / "policies" / "directive-22.json"
ROW: dict[str, Any] = {"id": "r1", "when": {"var": "status_f0"}, "outcome": "FAIL", "reason": "f0"}


def document(**row: Any) -> bytes:
    return json.dumps({"name": "p", "effective_from": "2021-09-21T06:00:00+07:00", "rows": [{**ROW, **row}]}).encode()


def refused(raw: bytes) -> str:
    with pytest.raises(BadPolicy) as caught:
        parse(raw, name="p.json")
    return str(caught.value)


def test_every_policy_of_the_house_loads_and_has_its_name() -> None:
    files = sorted(DIRECTIVE.parent.glob("*.json"))
    assert [load(file).name for file in files] == ["directive-15", "directive-16", "directive-22", "travel-2021-10"]
    assert [file.stem for file in files] == [load(file).name for file in files]


def test_the_policy_in_force_is_the_one_whose_hour_came_last() -> None:
    policies = [load(file) for file in DIRECTIVE.parent.glob("*.json")]
    for moment, name in [
        ("2021-07-24T05:59:59+07:00", "directive-15"),
        ("2021-07-24T06:00:00+07:00", "directive-16"),
        ("2021-09-21T05:59:59+07:00", "directive-16"),
        ("2021-09-21T06:00:00+07:00", "directive-22"),
        ("2022-01-01T00:00:00+07:00", "travel-2021-10"),
    ]:
        chosen = in_force(policies, datetime.fromisoformat(moment))
        assert chosen is not None
        assert chosen.name == name
    assert in_force(policies, datetime.fromisoformat("2020-01-01T00:00:00+07:00")) is None


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
        ({"ends": [{"fact": "blood_type", "after_hours": 1}]}, "p.json: row r1: needs 'blood_type', which is no fact"),
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


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"when": {"!": [{"var": "permit_groups"}]}}, "FAIL because 'permit_groups' is not known; put it into needs"),
        ({"when": {"!": [{"===": [{"var": "home_zone"}, "green"]}]}}, "FAIL because 'home_zone' is not known"),
        ({"when": {"if": [{"var": "doses"}, {"<": [{"var": "doses"}, 2]}, True]}}, "FAIL because 'doses'"),
        (
            {"when": {"and": [{"var": name} for name in ("doses", "flagged", "exposed", "provisional")]}},
            "reads 4 facts",
        ),
    ],
)
def test_nobody_is_stopped_because_something_is_not_known(row: dict[str, Any], why: str) -> None:
    assert f"p.json: row r1: {why}" in refused(document(**row))


@pytest.mark.parametrize(
    "row",
    [
        {"when": {"!": [{"var": "permit_groups"}]}, "needs": [{"fact": "permit_groups"}]},
        {"when": {"!": [{"var": "permit_groups"}]}, "outcome": "CHECK"},
        {"when": {"if": [{"var": "status_f0"}, True, {"var": "status_f1"}]}},
        {"when": {"if": [{"var": "doses"}, {"<": [{"var": "doses"}, 2]}, False]}},
    ],
)
def test_a_row_that_fails_on_what_is_known_is_fair(row: dict[str, Any]) -> None:
    assert parse(document(**row), name="p.json").rows


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
