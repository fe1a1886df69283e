"""The closed vocabulary of what can be known of a resident. Other rooms write facts; a decision reads nothing else.

A fact holds from `from_` until `until`; `recorded_at` is when we learned it. Adding a name is a new release of the
vocabulary; giving a name another type never happens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

VERSION = 1
LOCAL = timezone(timedelta(hours=7), "ICT")
"""Days are days in Viet Nam, which has no daylight saving."""

Value = bool | int | str | date | datetime | tuple[str, ...]
_Instant = Annotated[datetime, Meta(tz=True)]
_Count = Annotated[int, Meta(ge=0, le=99)]
_Year = Annotated[int, Meta(ge=1850, le=2200)]
_Place = Annotated[str, Meta(min_length=1, max_length=200)]
_Names = Annotated[tuple[_Place, ...], Meta(max_length=32)]
_ZoneLevel = Literal["green", "yellow", "orange", "red"]


class Kind(NamedTuple):
    type: Any
    """What msgspec checks a value against."""
    medical: bool = False


VOCABULARY: Mapping[str, Kind] = MappingProxyType(
    {
        # the registry
        "known": Kind(bool),
        "provisional": Kind(bool),
        "birth_year": Kind(_Year),
        "home_ward": Kind(_Place),
        "home_zone": Kind(_ZoneLevel),
        "flagged": Kind(bool),
        # cases and orders
        "status_f0": Kind(bool, medical=True),
        "status_f1": Kind(bool, medical=True),
        "status_f2": Kind(bool, medical=True),
        "recovered_on": Kind(date, medical=True),
        "order_active": Kind(_Place, medical=True),  # the place where the person has to be
        "order_broken": Kind(bool, medical=True),
        # vaccination and tests
        "doses": Kind(_Count, medical=True),
        "last_dose_on": Kind(date, medical=True),
        "last_test_negative_at": Kind(_Instant, medical=True),
        "last_test_positive_at": Kind(_Instant, medical=True),
        # the declaration
        "declared_at": Kind(_Instant),
        "symptoms": Kind(_Names, medical=True),
        "exposed": Kind(bool, medical=True),
        # permits
        "permit_groups": Kind(_Names),
        "permit_zones": Kind(_Names),
    }
)


class BadFact(ValueError):
    """A name outside the vocabulary, or a value that is none of its type. The message never repeats the value."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing known of one resident. All times are aware."""

    value: Value
    from_: datetime
    until: datetime | None
    """Exclusive; None: until something supersedes it."""
    recorded_at: datetime
    source: str

    def holds(self, now: datetime) -> bool:
        """In force. What tells of an instant that is still to come (a wrong clock, a wrong date) is not."""
        if now < self.from_ or (self.until is not None and self.until <= now):
            return False
        return not isinstance(self.value, date) or self.happened_at <= now

    @property
    def happened_at(self) -> datetime:
        """What its age is counted from: the instant it tells of where it tells of one, else when it began to hold."""
        if isinstance(self.value, datetime):
            return self.value
        if isinstance(self.value, date):
            return datetime.combine(self.value, time(), LOCAL)
        return self.from_


ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)
"""Since when holds what tells no beginning."""


class Written(NamedTuple):
    """A line of a resident's history as the registry keeps it: never changed, only superseded."""

    id: int
    kind: str
    value: Any
    """As JSON spells it; None takes back what was said of this kind before."""
    from_: datetime | None
    until: datetime | None
    recorded_at: datetime
    source: str
    supersedes: int | None = None


def standing(history: Iterable[Written], now: datetime) -> dict[str, Fact]:
    """What holds now, of a history in the order of its ids: for each kind the newest line that is in its time.

    A line supersedes another from its own beginning on. This is the one reading of a history, at central and at a gate.
    """
    begun = [line for line in history if line.from_ is None or line.from_ <= now]
    gone = {line.supersedes for line in begun}
    newest = {line.kind: line for line in begun if line.id not in gone and (line.until is None or now < line.until)}
    return {
        kind: Fact(parse(kind, line.value), line.from_ or ALWAYS, line.until, line.recorded_at, line.source)
        for kind, line in newest.items()
        if line.value is not None
    }


def parse(name: str, raw: Any) -> Value:
    """A JSON value or the text of a CSV cell as the fact's own type. Raises BadFact."""
    kind = VOCABULARY.get(name)
    if kind is None:
        raise BadFact(f"{name!r} is no fact; use one of: {', '.join(VOCABULARY)}")
    try:
        value: Value = msgspec.convert(raw, kind.type, strict=False)
    except msgspec.ValidationError as error:
        raise BadFact(f"{name}: {_expected(error)}") from None
    return value


def apart(name: str, raw: Any) -> Any:
    """What a form's field says: of a fact that is several names, the names between its commas."""
    if not isinstance(raw, str) or name not in VOCABULARY or VOCABULARY[name].type is not _Names:
        return raw
    return [word for part in raw.split(",") if (word := part.strip())]


def _expected(error: msgspec.ValidationError) -> str:
    # msgspec names an invalid enum value; the part before it says enough
    return str(error).partition(" value ")[0] if "Invalid enum" in str(error) else str(error)


def to_json(value: Value) -> bool | int | str | list[str]:
    """As JSON spells it: ISO dates, UTC instants with a Z. `parse` reads it back."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
