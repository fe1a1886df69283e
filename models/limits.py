"""How full a street may be: a directive's thresholds by the hour, and what a desk recommends. Data, not code."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models import hours
from models.document import Section, load


class Hours(hours.Hours):
    """What holds in these hours."""

    bodies: tuple[float, float, float, float]
    """Bodies from which a street is Thưa, Vừa, Đông, Quá đông."""
    per_100_m2: tuple[float, float, float, float] | None = None
    """The same by ground area; used where the zone's ground is measured."""
    gathering: Annotated[int, Field(ge=1)]
    """More people than this who stand together are a gathering."""

    @model_validator(mode="after")
    def _rising(self) -> "Hours":
        for steps in (self.bodies, self.per_100_m2):
            if steps is not None and (list(steps) != sorted(set(steps)) or steps[0] <= 0):
                raise ValueError(f"thresholds {steps} must rise from above 0; write the smallest first")
        return self


class Action(Section):
    vi: str
    en: str


class Limits(Section):
    """One directive."""

    name: str
    title: str
    hours: Annotated[tuple[Hours, ...], Field(min_length=1)]
    """The first that fits an hour holds; the last must fit every hour."""
    actions: dict[Literal["3", "4"], Action]
    """What a district is advised to do at that level."""

    @model_validator(mode="after")
    def _always(self) -> "Limits":
        last = self.hours[-1]
        if set(last.days) != {1, 2, 3, 4, 5, 6, 7} or last.since != last.until:
            raise ValueError("the last of `hours` must hold always; leave out its days, since and until")
        return self

    def at(self, moment: datetime) -> Hours:
        return next(hours for hours in self.hours if hours.hold_at(moment))


def read(path: Path) -> Limits:
    """Raises models.document.BadDocument."""
    return load(path, Limits)
