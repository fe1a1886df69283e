"""Our own table always runs; the public suite where it is at hand."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.passes import certlogic

DAY = {"plusTime": ["2021-09-21", 0, "day"]}


@pytest.mark.parametrize(
    ("expression", "data", "expected"),
    [
        (True, {}, True),
        (["a", {"var": "x"}], {"x": 1}, ["a", 1]),
        ({"var": ""}, 7, 7),
        ({"var": "a.1.b"}, {"a": [0, {"b": "c"}]}, "c"),
        ({"var": "a.9"}, {"a": []}, None),
        ({"===": [1, True]}, {}, False),
        ({"===": [{"var": "x"}, "1"]}, {"x": 1}, False),
        ({"if": [{"var": "x"}, "yes", "no"]}, {"x": []}, "no"),
        ({"and": [1, "", {"+": ["never", 1]}]}, {}, ""),
        ({"!": [{"var": "nothing"}]}, {}, True),
        ({"in": ["b", ["a", "b"]]}, {}, True),
        ({"+": [1, {"var": "x"}]}, {"x": -3}, -2),
        ({"<=": [1, {"var": "x"}, 3]}, {"x": 3}, True),
        ({"<": [1, 1]}, {}, False),
        ({"after": [{"plusTime": ["2021-09-21T06:00:00+07:00", 1, "hour"]}, DAY]}, {}, False),
        ({"not-after": [DAY, {"plusTime": ["2021-09", 0, "day"]}]}, {}, True),
        ({"reduce": [[1, 2, 3], {"+": [{"var": "accumulator"}, {"var": "current"}]}, 10]}, {}, 16),
        ({"reduce": [[1], {"var": "data.x"}, 0]}, {"x": 5}, 5),
        ({"extractFromUVCI": ["URN:UVCI:01:NL:187/37512422923", 3]}, {}, "37512422923"),
    ],
)
def test_an_expression_gives_its_value(expression: Any, data: Any, expected: Any) -> None:
    assert certlogic.compile(expression)(data) == expected


@pytest.mark.parametrize(
    ("text", "amount", "unit", "expected"),
    [
        ("2020-02-29", 1, "year", (2021, 3, 1)),
        ("2020-02-29", 1, "month", (2020, 3, 29)),
        ("2021-01-31", 1, "month", (2021, 3, 3)),
        ("2020-12-31", -1, "month", (2020, 12, 1)),
        ("2021", 0, "day", (2021, 12, 31)),
        ("2020-02", 0, "day", (2020, 2, 29)),
        ("2021-09-20T23:30:00-0100", 0, "day", (2021, 9, 21, 0, 30)),
        ("2021-09-21T06:00:00.123999+7", 0, "hour", (2021, 9, 20, 23, 0, 0, 123000)),
    ],
)
def test_days_that_overflow_and_dates_that_are_partial(
    text: str, amount: int, unit: str, expected: tuple[int, ...]
) -> None:
    moment = certlogic.compile({"plusTime": [text, amount, unit]})({})
    assert moment == datetime(*expected, tzinfo=UTC)  # type: ignore[misc, arg-type]  # mypy cannot see how many


@pytest.mark.parametrize(
    "expression",
    [
        None,
        1.5,
        {},
        {"or": [1, 2]},
        {"if": [1, 2]},
        {"and": [1]},
        {"!": True},
        {"var": ["a", "b"]},
        {"===": [1, 2], "!": [1]},
        {"plusTime": ["2021", "1", "day"]},
        {"plusTime": ["2021", 1, "week"]},
        {"extractFromUVCI": ["a", "b"]},
    ],
)
def test_what_is_no_rule_is_refused_before_it_runs(expression: Any) -> None:
    with pytest.raises(certlogic.BadExpression):
        certlogic.compile(expression)


@pytest.mark.parametrize(
    "expression",
    [
        {"<": [1, {"var": "x"}]},
        {"before": [DAY, "2021-09-21"]},
        {"in": ["a", {"var": "x"}]},
        {"+": [1, "2"]},
        {"!": [DAY]},
        {"reduce": ["text", 1, 1]},
        {"dccDateOfBirth": ["21/09/2021"]},
        {"dccDateOfBirth": ["0001-01-01T00:00:00+9"]},
        {"plusTime": ["2021-02-31", 0, "day"]},
        {"plusTime": ["9999-12-31", 1, "day"]},
        {"extractFromUVCI": [5, 0]},
    ],
)
def test_values_of_a_wrong_type_are_a_mismatch(expression: Any) -> None:
    run = certlogic.compile(expression)
    with pytest.raises(certlogic.Mismatch):
        run({})


def test_variables_are_those_that_reach_the_data() -> None:
    expression = {
        "and": [
            {"var": "a.b"},
            {"reduce": [{"var": "c"}, {"===": [{"var": "current"}, {"var": "data.d.e"}]}, {"var": "f"}]},
        ]
    }
    assert set(certlogic.variables(expression)) == {"a", "c", "d", "f"}


@pytest.mark.data
def test_the_public_suite_holds(shared_data: Path) -> None:
    ran = 0
    wrong = []
    for path in sorted((shared_data / "certlogic" / "testSuite").glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            for assertion in case["assertions"]:
                if assertion.get("directive") == "skip":
                    continue
                expression = assertion.get("certLogicExpression", case.get("certLogicExpression"))
                ran += 1
                got = certlogic.compile(expression)(assertion["data"])
                if (type(got), got) != (type(assertion["expected"]), assertion["expected"]):
                    wrong.append(f"{path.name}: {case['name']}: {got!r} is not {assertion['expected']!r}")
    assert wrong == []
    assert ran == 228
