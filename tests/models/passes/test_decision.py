import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes.decision import Decision, decide
from models.passes.facts import BadFact, Fact, Value
from models.passes.outcome import Outcome
from models.passes.policy import Policy, load, parse
from models.passes.reasons import REASONS
from models.passes.scan import Scalar

POLICIES = Path(__file__).resolve().parents[3] / "configs" / "policies"
POLICY = load(POLICIES / "directive-22.json")
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
        ({"order_broken": True}, Outcome.FAIL, ("order_broken",)),
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


OCTOBER = load(POLICIES / "travel-2021-10.json")
LATER = datetime(2021, 11, 1, 6, tzinfo=UTC)
JUST = date(2021, 5, 2)
"""Of an illness: not yet six months ago."""


def in_october(code: Mapping[str, Scalar] = MappingProxyType({}), /, **more: Value) -> Decision:
    values: dict[str, Value] = {"known": True, "birth_year": 1987, "home_zone": "green", "declared_at": LATER - HOUR}
    facts = {name: fact(value, since=LATER - 24 * HOUR) for name, value in {**values, **more}.items()}
    return decide(facts, OCTOBER, LATER, code=code, place="cp-014")


@pytest.mark.parametrize(
    ("more", "reasons"),
    [
        ({}, ("no_immunity",)),
        ({"doses": 2, "last_dose_on": date(2021, 10, 18)}, ()),  # 14 days
        ({"doses": 2, "last_dose_on": date(2021, 10, 19)}, ("no_immunity",)),
        ({"doses": 1, "last_dose_on": date(2021, 8, 1)}, ("no_immunity",)),
        ({"doses": 2}, ("no_immunity",)),  # nobody knows since when
        ({"recovered_on": JUST}, ()),
        ({"recovered_on": date(2021, 5, 1)}, ("no_immunity",)),
        ({"recovered_on": JUST, "home_zone": "orange"}, ("no_test",)),
        ({"recovered_on": JUST, "home_zone": "red", "last_test_negative_at": LATER - 71 * HOUR}, ()),
        (
            {"recovered_on": JUST, "home_zone": "red", "last_test_negative_at": LATER - 72 * HOUR},
            ("no_test",),
        ),
        ({"birth_year": 2004}, ("no_test",)),  # a child needs the test alone
        ({"birth_year": 2004, "last_test_negative_at": LATER - HOUR}, ()),
        ({"birth_year": 2003, "last_test_negative_at": LATER - HOUR}, ("no_immunity",)),
        ({"recovered_on": JUST, "last_test_positive_at": LATER - 14 * 24 * HOUR}, ("tested_positive",)),
        ({"recovered_on": JUST, "last_test_positive_at": LATER - 15 * 24 * HOUR}, ()),
    ],
)
def test_the_rule_of_october_asks_for_immunity_and_by_zone_for_a_test(
    more: dict[str, Value], reasons: tuple[str, ...]
) -> None:
    assert in_october(**more).reasons == reasons


def test_a_permit_is_asked_for_under_directive_16() -> None:
    policy = load(POLICIES / "directive-16.json")
    assert decide(resident(), policy, NOW).reasons == ("no_permit",)
    assert decide(resident(permit_groups=()), policy, NOW).reasons == ("no_permit",)
    assert decide(resident(permit_groups=("g1",)), policy, NOW).outcome is Outcome.PASS


HC1: dict[str, Scalar] = {"kind": "hcert", "signature": "valid", "doses": 2, "last_dose_on": "2021-08-01"}


def test_what_a_sound_signed_code_says_adds_to_what_is_known() -> None:
    assert in_october(HC1).outcome is Outcome.PASS
    assert in_october(HC1, doses=1, last_dose_on=date(2021, 10, 30)).outcome is Outcome.PASS
    assert in_october(HC1 | {"signature": "none"}).reasons == ("no_immunity",)
    assert in_october(HC1 | {"reasons": "revoked"}).reasons == ("revoked", "no_immunity")
    assert in_october(HC1 | {"doses": "many"}).reasons == ("no_immunity",)
    fresh: dict[str, Scalar] = HC1 | {"last_test_negative_at": (LATER - HOUR).isoformat()}
    assert in_october(fresh, home_zone="red", last_test_negative_at=LATER - 99 * HOUR).outcome is Outcome.PASS


def test_a_code_says_nothing_of_who_somebody_is_or_what_is_ordered() -> None:
    lie: dict[str, Scalar] = {"signature": "valid", "kind": "cccd", "known": True, "status_f0": False, "flagged": False}
    assert decide({}, OCTOBER, LATER, code=lie).reasons == ("unknown",)
    assert in_october(HC1 | lie, status_f0=True).outcome is Outcome.FAIL


def test_a_signed_code_can_suffice_where_the_policy_says_so() -> None:
    told: dict[str, Scalar] = HC1 | {"kind": "city", "declared_at": (LATER - HOUR).isoformat()}
    ends: dict[str, Scalar] = {"valid_until": (LATER + HOUR).isoformat()}
    made = decide({}, OCTOBER, LATER, code=told | ends)
    assert (made.outcome, made.reasons, made.valid_until) == (Outcome.PASS, (), LATER + HOUR)
    assert decide({}, OCTOBER, LATER, code=HC1).reasons == ("no_declaration",)
    assert decide({}, POLICY, LATER, code=told).reasons == ("unknown",)


def test_that_a_number_is_masked_is_held_against_nobody() -> None:
    assert answer(resident(), reasons="masked").outcome is Outcome.PASS
    assert answer(resident(), reasons="masked year").reasons == ("year",)


# Everything that can be known, over every policy of the house.
ADVERSE: dict[str, Value] = {
    "status_f0": True,
    "status_f1": True,
    "order_active": "qs-003",
    "order_broken": True,
    "symptoms": ("ho",),
    "flagged": True,
    "exposed": True,
    "last_test_positive_at": LATER - HOUR,
}
moments = st.integers(0, 24 * 40).map(lambda hours: LATER - hours * HOUR)
days = moments.map(lambda moment: moment.date())
everything = st.fixed_dictionaries(
    {},
    optional={
        "known": st.sampled_from([True, True, True, False]),
        "birth_year": st.sampled_from([1950, 1987, 2003, 2004, 2015]),
        "home_zone": st.sampled_from(["green", "yellow", "orange", "red"]),
        "flagged": st.booleans(),
        "status_f0": st.booleans(),
        "status_f1": st.booleans(),
        "recovered_on": st.integers(0, 300).map(lambda ago: (LATER - ago * 24 * HOUR).date()),
        "order_active": st.sampled_from(["cp-014", "qs-003"]),
        "doses": st.integers(0, 3),
        "last_dose_on": days,
        "last_test_negative_at": moments,
        "last_test_positive_at": moments,
        "declared_at": moments,
        "symptoms": st.sampled_from([(), ("ho",)]),
        "permit_groups": st.sampled_from([(), ("g1",)]),
    },
).map(lambda values: {name: fact(cast("Value", value), since=LATER - 1000 * HOUR) for name, value in values.items()})
policies = st.sampled_from([load(path) for path in sorted(POLICIES.glob("*.json"))])
codes = st.sampled_from([{}, HC1, HC1 | {"signature": "invalid"}, HC1 | {"kind": "city"}, {"reasons": "year"}])


def made_of(facts: dict[str, Fact], policy: Policy, code: dict[str, Scalar], now: datetime = LATER) -> Decision:
    return decide(facts, policy, now, code=code, place="cp-014")


@given(everything, policies, codes, st.sampled_from(sorted(ADVERSE)))
def test_an_adverse_fact_never_makes_an_answer_milder(
    facts: dict[str, Fact], policy: Policy, code: dict[str, Scalar], name: str
) -> None:
    # a person who was at the right place, or tested positive long ago, is worse off now
    before = made_of(facts, policy, code).outcome
    after = made_of(facts | {name: fact(ADVERSE[name], since=LATER - HOUR)}, policy, code).outcome
    assert after.severity >= before.severity


@given(everything, policies, codes, st.sets(st.integers(0, 14)))
def test_what_is_missing_or_old_never_stops_anybody(
    facts: dict[str, Fact], policy: Policy, code: dict[str, Scalar], gone: set[int]
) -> None:
    if made_of(facts, policy, code).outcome is Outcome.FAIL:
        return
    fewer = {name: one for place, (name, one) in enumerate(facts.items()) if place not in gone}
    assert made_of(fewer, policy, code).outcome is not Outcome.FAIL
    over = {
        name: replace(one, until=LATER) if place in gone else one for place, (name, one) in enumerate(facts.items())
    }
    assert made_of(over, policy, code).outcome is not Outcome.FAIL
    assert made_of(facts, policy, code, LATER + 2000 * HOUR).outcome is not Outcome.FAIL


@given(everything, policies, codes)
def test_no_code_makes_a_stop_milder(facts: dict[str, Fact], policy: Policy, code: dict[str, Scalar]) -> None:
    if made_of(facts, policy, {}).outcome is Outcome.FAIL:
        assert made_of(facts, policy, code).outcome is Outcome.FAIL


@given(everything, policies, st.integers(0, 999))
def test_a_pass_stays_one_until_its_end(facts: dict[str, Fact], policy: Policy, thousandth: int) -> None:
    made = made_of(facts, policy, {})
    if made.outcome is Outcome.PASS:
        assert made.valid_until is not None
        assert made.valid_until > LATER
        at = LATER + (made.valid_until - LATER) * thousandth / 1000
        assert made_of(facts, policy, {}, at).outcome is Outcome.PASS


@given(everything, policies, codes)
def test_pass_has_no_reason_and_everything_else_has(
    facts: dict[str, Fact], policy: Policy, code: dict[str, Scalar]
) -> None:
    made = made_of(facts, policy, code)
    assert (made.outcome is Outcome.PASS) == (made.reasons == ())
    assert set(made.reasons) <= REASONS.keys()
