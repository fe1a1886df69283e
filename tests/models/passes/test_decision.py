import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes.decision import Decision, decide
from models.passes.facts import BadFact, Fact, Value
from models.passes.outcome import Outcome
from models.passes.policy import load, parse
from models.passes.scan import Scalar

POLICY = load(Path(__file__).resolve().parents[3] / "configs" / "policies" / "directive-22.json")
NOW = datetime(2021, 9, 22, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)


def fact(value: Value, *, since: datetime = NOW - 24 * HOUR, until: datetime | None = None) -> Fact:
    return Fact(value=value, from_=since, until=until, recorded_at=since, source="test")


def resident(**more: Value) -> dict[str, Fact]:
    values: dict[str, Value] = {"known": True, "declared_at": NOW - 24 * HOUR, **more}
    return {name: fact(value) for name, value in values.items()}


def answer(facts: dict[str, Fact], *, place: str = "cp-014", **code: Scalar) -> Decision:
    return decide(facts, POLICY, NOW, code=code, place=place)


def test_an_ordinary_resident_passes_until_the_declaration_ends() -> None:
    made = answer(resident())
    assert (made.outcome, made.reasons) == (Outcome.PASS, ())
    assert made.valid_until == NOW + 48 * HOUR
    assert made.policy == POLICY.id


@pytest.mark.parametrize(
    ("more", "outcome", "reasons"),
    [
        ({"status_f0": True}, Outcome.FAIL, ("f0",)),
        ({"status_f1": True}, Outcome.FAIL, ("f1",)),
        ({"status_f0": False}, Outcome.PASS, ()),
        ({"order_active": "qs-003"}, Outcome.FAIL, ("order_elsewhere",)),
        ({"order_active": "cp-014"}, Outcome.PASS, ()),
        ({"symptoms": ("ho",)}, Outcome.CHECK, ("symptoms",)),
        ({"symptoms": ()}, Outcome.PASS, ()),
        ({"flagged": True}, Outcome.CHECK, ("flagged",)),
        ({"declared_at": NOW - 72 * HOUR}, Outcome.CHECK, ("declaration_expired",)),
        ({"declared_at": NOW - 73 * HOUR, "status_f1": True}, Outcome.FAIL, ("f1", "declaration_expired")),
        ({"symptoms": ("ho",), "status_f0": True, "flagged": True}, Outcome.FAIL, ("f0", "symptoms", "flagged")),
    ],
)
def test_all_reasons_are_told_and_the_most_severe_wins(
    more: dict[str, Value], outcome: Outcome, reasons: tuple[str, ...]
) -> None:
    made = answer(resident(**more))
    assert (made.outcome, made.reasons) == (outcome, reasons)


def test_a_needed_fact_that_is_absent_is_a_check_before_its_rule_runs() -> None:
    facts = resident(symptoms=("ho",))
    del facts["declared_at"]
    assert answer(facts).reasons == ("no_declaration",)


def test_a_fact_counts_only_while_it_holds() -> None:
    over = resident() | {"status_f1": fact(value=True, until=NOW)}
    assert answer(over).outcome is Outcome.PASS
    ahead = resident() | {"order_active": fact("qs-003", since=NOW + HOUR)}
    assert answer(ahead).outcome is Outcome.PASS


def test_a_declaration_of_tomorrow_is_none() -> None:
    assert answer(resident(declared_at=NOW + HOUR)).reasons == ("no_declaration",)


def test_an_answer_lasts_until_the_first_of_its_facts_expires() -> None:
    facts = resident() | {"order_active": fact("cp-014", until=NOW + HOUR)}
    assert answer(facts).valid_until == NOW + HOUR
    # a fact that no rule reads does not shorten it
    assert answer(resident() | {"doses": fact(2, until=NOW + HOUR)}).valid_until == NOW + 48 * HOUR


def test_nobody_is_unknown() -> None:
    made = answer({})
    assert (made.outcome, made.reasons, made.valid_until) == (Outcome.CHECK, ("unknown",), None)
    assert answer({"known": fact(value=False)}).reasons == ("unknown",)


def test_junk_is_told_as_junk_and_not_as_an_unknown_person() -> None:
    made = answer({}, reasons="not_a_pass")
    assert (made.outcome, made.reasons) == (Outcome.CHECK, ("not_a_pass",))


def test_a_code_that_contradicts_itself_is_a_check_of_a_known_person() -> None:
    made = answer(resident(), reasons="century year")
    assert (made.outcome, made.reasons) == (Outcome.CHECK, ("century", "year"))


def test_a_bad_code_does_not_hide_what_the_registry_knows() -> None:
    made = answer(resident(status_f0=True), reasons="year")
    assert (made.outcome, made.reasons) == (Outcome.FAIL, ("f0", "year"))


@pytest.mark.parametrize(
    ("signature", "reasons"),
    [
        ("valid", ()),
        ("none", ()),
        ("invalid", ("signature",)),
        ("unknown_key", ("unknown_key",)),
    ],
)
def test_a_signature_that_does_not_hold_is_a_check(signature: str, reasons: tuple[str, ...]) -> None:
    assert answer(resident(), signature=signature).reasons == reasons


def test_a_policy_that_is_not_in_force_yet_decides_nothing() -> None:
    before = POLICY.effective_from - HOUR
    facts = {"known": fact(value=True, since=before - HOUR), "status_f0": fact(value=True, since=before - HOUR)}
    made = decide(facts, POLICY, before)
    assert (made.outcome, made.reasons) == (Outcome.CHECK, ("no_policy",))


def policy_of(when: Any, **row: Any) -> Any:
    rows = [{"id": "r", "when": when, "outcome": "FAIL", "reason": "f0", **row}]
    document = {"name": "p", "effective_from": "2021-09-21T06:00:00+07:00", "rows": rows}
    return parse(json.dumps(document).encode(), name="p.json")


def test_a_rule_that_cannot_run_is_our_fault_and_a_check() -> None:
    made = decide(resident(), policy_of({">": [{"var": "doses"}, 1]}), NOW)
    assert (made.outcome, made.reasons) == (Outcome.CHECK, ("rule_error",))


def test_a_rule_may_ask_for_days_since_a_dose() -> None:
    two_weeks = {"plusTime": [{"var": "last_dose_on"}, 14, "day"]}
    rule = {"before": [{"plusTime": [{"var": "now"}, 0, "day"]}, two_weeks]}
    needs = [{"fact": "last_dose_on"}]
    policy = policy_of(rule, needs=needs, outcome="CHECK", reason="no_data")
    assert decide(resident(last_dose_on=NOW.date() - timedelta(days=14)), policy, NOW).outcome is Outcome.PASS
    assert decide(resident(last_dose_on=NOW.date() - timedelta(days=13)), policy, NOW).outcome is Outcome.CHECK


def test_a_fact_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(BadFact, match="'blood_type' is no fact"):
        answer(resident() | {"blood_type": fact("A")})


flags = st.dictionaries(st.sampled_from(["status_f0", "status_f1", "flagged", "provisional"]), st.booleans())


@given(flags, st.sampled_from(["", "year", "encoding"]), st.integers(0, 100))
def test_no_fault_of_a_code_and_no_absence_ever_fails_anybody(more: dict[str, bool], code: str, age: int) -> None:
    facts = resident(**more, declared_at=NOW - age * HOUR)
    made = answer(facts, reasons=code)
    stopped = bool(more.get("status_f0") or more.get("status_f1"))
    assert (made.outcome is Outcome.FAIL) == stopped
    assert (made.outcome is Outcome.PASS) == (made.reasons == ())
