"""What each record says of a resident. Pure: a record in, lines of the vocabulary out."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from central.registry.rules import Line
from models.passes.facts import LOCAL


def _local(value: object) -> object:
    """A form's moment has no zone: it is the time in Viet Nam. An empty field says nothing."""
    if isinstance(value, str) and value:
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=LOCAL)
    return value or None


def _words(value: object) -> object:
    """A form's list is one text with commas."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


Moment = Annotated[AwareDatetime, BeforeValidator(_local)]
Maybe = Annotated[AwareDatetime | None, BeforeValidator(_local)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Short = Annotated[str, Field(min_length=1, max_length=200)]


class Record(BaseModel):
    """A form's fields; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def lines(self) -> Sequence[Line]:
        raise NotImplementedError


class Declaration(Record):
    at: Moment
    symptoms: Words = ()
    exposed: bool = False

    def lines(self) -> Sequence[Line]:
        return (
            Line("declared_at", self.at, self.at),
            Line("symptoms", self.symptoms, self.at),
            Line("exposed", self.exposed, self.at),
        )


class Dose(Record):
    number: Annotated[int, Field(ge=1, le=9)]
    given_on: date

    def lines(self) -> Sequence[Line]:
        since = datetime(self.given_on.year, self.given_on.month, self.given_on.day, tzinfo=LOCAL)
        return (Line("doses", self.number, since), Line("last_dose_on", self.given_on, since))


class Sample(Record):
    taken_at: Moment
    result: Literal["negative", "positive"]

    def lines(self) -> Sequence[Line]:
        kind = "last_test_negative_at" if self.result == "negative" else "last_test_positive_at"
        return (Line(kind, self.taken_at, self.taken_at),)


class _Span(Record):
    from_: Moment = Field(alias="from")
    until: Maybe = None

    @model_validator(mode="after")
    def _forwards(self) -> "_Span":
        if self.until is not None and self.until <= self.from_:
            raise ValueError("until: not after from")
        return self


class Permit(_Span):
    groups: Words
    zones: Words = ()

    def lines(self) -> Sequence[Line]:
        return (
            Line("permit_groups", self.groups, self.from_, self.until),
            Line("permit_zones", self.zones, self.from_, self.until),
        )


class Episode(Record):
    """F1 that becomes F0 is an F0 that was an F1: opening one closes the milder ones."""

    level: Literal[0, 1, 2]
    state: Literal["open", "closed", "recovered"]
    at: Moment

    @model_validator(mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        if isinstance(given, Mapping) and isinstance(given.get("level"), str):
            return {**given, "level": int(given["level"]) if given["level"].isdigit() else given["level"]}
        return given

    def lines(self) -> Sequence[Line]:
        is_open = self.state == "open"
        lines = [Line(f"status_f{self.level}", is_open, self.at)]
        if is_open:
            lines += [Line(f"status_f{milder}", value=False, from_=self.at) for milder in range(self.level + 1, 3)]
        if self.state == "recovered":
            lines.append(Line("recovered_on", self.at.astimezone(LOCAL).date(), self.at))
        return lines


class Order(_Span):
    place: Short

    def lines(self) -> Sequence[Line]:
        return (Line("order_active", self.place, self.from_, self.until),)


class Flag(Record):
    flagged: bool

    def lines(self) -> Sequence[Line]:
        return (Line("flagged", self.flagged),)


RECORDS: Mapping[str, type[Record]] = MappingProxyType(
    {
        "declaration": Declaration,
        "dose": Dose,
        "sample": Sample,
        "permit": Permit,
        "episode": Episode,
        "order": Order,
        "flag": Flag,
    }
)


class Zone(_Span):
    ward: Short
    level: Literal["green", "yellow", "orange", "red"]
