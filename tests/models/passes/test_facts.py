from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from models.passes.facts import VOCABULARY, BadFact, Fact, Value, parse, to_json

NOW = datetime(2021, 9, 21, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("known", "true", True),
        ("doses", "2", 2),
        ("order_active", "qs-003", "qs-003"),
        ("last_dose_on", "2021-09-01", date(2021, 9, 1)),
        ("declared_at", "2021-09-21T13:00:00+07:00", NOW),
        ("symptoms", ["ho", "sot"], ("ho", "sot")),
        ("home_zone", "red", "red"),
    ],
)
def test_a_fact_is_parsed_to_its_own_type_and_back(name: str, raw: Any, value: Value) -> None:
    assert parse(name, raw) == value
    assert parse(name, to_json(value)) == value


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("doses", -1),
        ("doses", "many"),
        ("known", "perhaps"),
        ("declared_at", "2021-09-21T13:00:00"),
        ("home_zone", "purple"),
        ("order_active", ""),
        ("symptoms", "ho"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(name: str, raw: Any) -> None:
    with pytest.raises(BadFact, match=f"^{name}: "):
        parse(name, raw)


def test_a_name_outside_the_vocabulary_is_refused_with_the_vocabulary() -> None:
    with pytest.raises(BadFact, match=r"'blood_type' is no fact; use one of: known, .*permit_zones"):
        parse("blood_type", "A")


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(BadFact) as refused:
        parse("home_zone", "001087029317")
    assert "001087029317" not in str(refused.value)


def test_a_fact_holds_from_its_start_until_before_its_end() -> None:
    fact = Fact(value=True, from_=NOW, until=NOW + timedelta(hours=1), recorded_at=NOW, source="test")
    assert [fact.holds(NOW + timedelta(hours=hours)) for hours in (-1, 0, 1)] == [False, True, False]


def test_age_counts_from_what_a_fact_tells_of() -> None:
    told = Fact(value=date(2021, 9, 1), from_=NOW, until=None, recorded_at=NOW, source="test")
    assert told.happened_at == datetime(2021, 8, 31, 17, tzinfo=UTC)
    flag = Fact(value=True, from_=NOW, until=None, recorded_at=NOW, source="test")
    assert flag.happened_at == NOW


def test_what_is_said_of_health_is_marked_as_medical() -> None:
    assert VOCABULARY["status_f0"].medical
    assert not VOCABULARY["known"].medical
