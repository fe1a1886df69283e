"""CertLogic 1.3.3, compiled to closures: a rule is checked once, when it is published, and runs in microseconds.

Values are JSON's, except that dates and floats exist only as results of `plusTime` and `dccDateOfBirth`.
"""

import operator
import re
import sys
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from typing import Any

Run = Callable[[Any], Any]


class BadExpression(ValueError):
    """No CertLogic: an unknown operation, or operands that do not fit it."""


class Mismatch(ValueError):
    """A valid expression met a value of a type that it cannot work with."""


_TRUE_OR_FALSE = (int, str, list, dict)
_LAMBDA_NAMES = frozenset({"current", "accumulator", "data"})
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "before": operator.lt,
    "after": operator.gt,
    "not-after": operator.le,
    "not-before": operator.ge,
}
_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d{1,2}):?(\d\d)?)?)?)?)?", re.ASCII
)


def truthy(value: Any) -> bool:
    """Raises Mismatch for a value that is neither truthy nor falsy (a date, a float)."""
    if value is None or value is True or value is False or isinstance(value, _TRUE_OR_FALSE):
        return bool(value)
    raise Mismatch(f"{type(value).__name__} is neither true nor false")


def instant(text: Any) -> datetime:
    """A date or date-time, UTC, whole milliseconds; of a partial date its last possible day. Raises Mismatch."""
    if not isinstance(text, str):
        raise Mismatch("not a date or date-time")
    if text[4:5] == text[7:8] == "-" and (
        len(text) == 10 or (len(text) == 24 and text[10] + text[19] + text[23] == "T.Z")
    ):
        try:  # as facts are spelt: ten times as fast as the rest
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise Mismatch("not a date or date-time") from error
        return moment.replace(tzinfo=UTC)
    found = _TIME.fullmatch(text)
    if found is None:
        raise Mismatch("not a date or date-time")
    year, month, day, hour, minute, second, fraction, sign, zone_hour, zone_minute = found.groups()
    months = int(month or 12)
    try:
        moment = datetime(
            int(year),
            months,
            int(day or monthrange(int(year), months)[1]),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            int((fraction or "0")[:3].ljust(3, "0")) * 1000,
            UTC,
        )
        offset = timedelta(hours=int(zone_hour or 0), minutes=int(zone_minute or 0))
        return moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError) as error:  # a month 13, a day 32, an hour before the year 1
        raise Mismatch("not a date or date-time") from error


def plus(moment: datetime, amount: int, unit: str) -> datetime:
    """As JavaScript's setUTC…: a day too many runs over into the next month."""
    if unit == "hour":
        return moment + timedelta(hours=amount)
    if unit == "day":
        return moment + timedelta(amount)
    months = moment.year * 12 + moment.month - 1 + (amount * 12 if unit == "year" else amount)
    return moment.replace(year=months // 12, month=months % 12 + 1, day=1) + timedelta(days=moment.day - 1)


def _lookup(path: str) -> Run:
    parts = path.split(".") if path else []

    def only(data: Any) -> Any:
        return data.get(path) if type(data) is dict else run(data)

    def run(data: Any) -> Any:
        for part in parts:
            if isinstance(data, dict):
                data = data.get(part)
            elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
                data = data[int(part)]
            else:
                return None
        return data

    return only if len(parts) == 1 else run


def _if(guard: Run, then: Run, otherwise: Run) -> Run:
    def run(data: Any) -> Any:
        value = guard(data)
        return then(data) if value is True or (value is not False and truthy(value)) else otherwise(data)

    return run


def _and(*operands: Run) -> Run:
    def run(data: Any) -> Any:
        value: Any = True
        for operand in operands:
            value = operand(data)
            if value is not True and (value is False or not truthy(value)):
                break
        return value

    return run


def _not(operand: Run) -> Run:
    return lambda data: not truthy(operand(data))


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def _equal(left: Run, right: Run) -> Run:
    return lambda data: _same(left(data), right(data))


def _in(member: Run, group: Run) -> Run:
    def run(data: Any) -> bool:
        sought, members = member(data), group(data)
        if not isinstance(members, list):
            raise Mismatch("the second operand of in is not an array")
        kind = type(sought)
        return any(type(one) is kind and one == sought for one in members)

    return run


def _sum(left: Run, right: Run) -> Run:
    def run(data: Any) -> int:
        values = left(data), right(data)
        if any(type(value) is not int for value in values):
            raise Mismatch("+ adds integers")
        return sum(values)

    return run


def _compare(name: str) -> Callable[..., Run]:
    wanted = datetime if name.isalpha() or name.startswith("not") else int
    compare = _COMPARE[name]

    def build(*operands: Run) -> Run:
        left, right = operands[:2]

        def two(data: Any) -> bool:
            a, b = left(data), right(data)
            if type(a) is not wanted or type(b) is not wanted:
                raise Mismatch(f"{name} compares {'date-times' if wanted is datetime else 'integers'}")
            return compare(a, b)

        def run(data: Any) -> bool:
            values = [operand(data) for operand in operands]
            if any(type(value) is not wanted for value in values):
                raise Mismatch(f"{name} compares {'date-times' if wanted is datetime else 'integers'}")
            return all(compare(a, b) for a, b in pairwise(values))

        return two if len(operands) == 2 else run

    return build


def _plus_time(text: Run, amount: Run, unit: Run) -> Run:
    steps, step = amount(None), unit(None)  # literals, as _operands has made sure

    def run(data: Any) -> datetime:
        moment = instant(text(data))
        if steps == 0:
            return moment
        try:
            return plus(moment, steps, step)
        except (ValueError, OverflowError) as error:  # beyond the calendar
            raise Mismatch(f"plusTime: {error}") from error

    return run


def _birth(text: Run) -> Run:
    return lambda data: instant(text(data))


def _reduce(items: Run, step: Run, initial: Run) -> Run:
    def run(data: Any) -> Any:
        members = items(data)
        if members is None:
            return initial(data)
        if not isinstance(members, list):
            raise Mismatch("reduce runs over an array")
        return reduce(
            lambda sofar, one: step({"current": one, "accumulator": sofar, "data": data}), members, initial(data)
        )

    return run


def _uvci(text: Run, index: Run) -> Run:
    def run(data: Any) -> str | None:
        value, position = text(data), index(data)
        if value is None:
            return None
        if not isinstance(value, str):
            raise Mismatch("extractFromUVCI reads text")
        parts = re.split(r"[/#:]", value.removeprefix("URN:UVCI:"))
        return parts[position] if 0 <= position < len(parts) else None

    return run


# operation -> (how many operands, what builds it)
_OPERATIONS: dict[str, tuple[range, Callable[..., Run]]] = {
    "if": (range(3, 4), _if),
    "and": (range(2, sys.maxsize), _and),
    "!": (range(1, 2), _not),
    "===": (range(2, 3), _equal),
    "in": (range(2, 3), _in),
    "+": (range(2, 3), _sum),
    "plusTime": (range(3, 4), _plus_time),
    "dccDateOfBirth": (range(1, 2), _birth),
    "reduce": (range(3, 4), _reduce),
    "extractFromUVCI": (range(2, 3), _uvci),
    **{name: (range(2, 4), _compare(name)) for name in _COMPARE},
}


def _operands(expression: dict[str, Any]) -> tuple[str, Sequence[Any]]:
    if len(expression) != 1:
        raise BadExpression("an operation is an object with one key")
    name, operands = next(iter(expression.items()))
    if name not in _OPERATIONS:
        raise BadExpression(f"{name!r} is no operation; use one of: var, {', '.join(_OPERATIONS)}")
    if not isinstance(operands, list) or len(operands) not in _OPERATIONS[name][0]:
        raise BadExpression(f"{name!r} has the wrong number of operands")
    if name == "plusTime" and (type(operands[1]) is not int or operands[2] not in {"year", "month", "day", "hour"}):
        raise BadExpression("plusTime takes a text, a whole number, and one of year, month, day, hour")
    if name == "extractFromUVCI" and type(operands[1]) is not int:
        raise BadExpression("extractFromUVCI takes a text and a whole number")
    return name, operands


def compile(expression: Any) -> Run:  # noqa: A001  (it is what it does)
    """A function of the data. Raises BadExpression now; the function raises Mismatch."""
    if isinstance(expression, bool | int | str):
        return lambda _: expression
    if isinstance(expression, list):
        items = [compile(item) for item in expression]
        return lambda data: [item(data) for item in items]
    if not isinstance(expression, dict):
        raise BadExpression(f"{type(expression).__name__} is no value here; null and fractions are not allowed")
    if expression.keys() == {"var"}:
        path = expression["var"]
        if type(path) not in {str, int}:
            raise BadExpression("var takes a path")
        return _lookup(str(path))
    name, operands = _operands(expression)
    return _OPERATIONS[name][1](*map(compile, operands))


def literals(expression: Any) -> Iterator[int | str]:
    """The numbers and texts that stand in an expression."""
    if isinstance(expression, int | str):
        yield expression
    elif isinstance(expression, list):
        for item in expression:
            yield from literals(item)
    elif isinstance(expression, dict):
        for name, operands in expression.items():
            if name != "var":
                yield from literals(operands)


def variables(expression: Any, *, inside_lambda: bool = False) -> Iterator[str]:
    """The outermost names that a valid expression reads from its data; "" is the whole of it."""
    if isinstance(expression, list):
        for item in expression:
            yield from variables(item, inside_lambda=inside_lambda)
    elif isinstance(expression, dict):
        ((name, operands),) = expression.items()
        if name == "reduce":
            items, step, initial = operands
            yield from variables([items, initial], inside_lambda=inside_lambda)
            yield from variables(step, inside_lambda=True)
        elif name != "var":
            yield from variables(operands, inside_lambda=inside_lambda)
        else:
            first, _, rest = str(operands).partition(".")
            if not inside_lambda:
                yield first
            elif first == "data" and rest:
                yield rest.partition(".")[0]
            elif first not in _LAMBDA_NAMES:
                yield first
