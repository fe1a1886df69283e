"""What an alert is, which of them are one row, when it goes further, and what a zone's alerts teach. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType

BREACH = "breach"
TRAVEL = "travel"
"""One person at two places faster than one can travel."""
OVERRIDDEN = "overridden"
"""An officer has decided otherwise, with a reason."""
DIFFERS = "differs"
"""A gate has answered by itself, and central answers otherwise."""


class State(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Outcome(StrEnum):
    """What it came to."""

    RETURNED = "returned"
    AUTHORISED = "authorised"
    STAFF = "staff"
    NAMED = "named"
    """It is known who it was: an order is broken."""
    NOT_FOUND = "not_found"
    FALSE_ALARM = "false_alarm"
    HANDLED = "handled"
    """Of what is no breach."""


OUTCOMES: tuple[Outcome, ...] = tuple(outcome for outcome in Outcome if outcome is not Outcome.HANDLED)
"""Of a breach, as a desk offers them."""


class Cause(StrEnum):
    """Of a false alarm."""

    SHADOW = "shadow"
    LIGHT = "light"
    RAIN = "rain"
    ANIMAL = "animal"
    LINE = "line"
    """Somebody who stood or worked at the line."""
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Of one incident; or, joined, of what one person did within half a minute."""

    id: int
    kind: str
    site: str
    edge: str
    camera: str
    place: str
    first_at: datetime
    last_at: datetime
    raised_at: datetime
    """When central first heard of it."""
    count: int
    level: int
    certainty: str
    evidence: str
    box: str
    """Of the body in the picture, 0..1: x, y, width, height; empty where it is not known."""
    beyond: float | None
    late: bool
    ended_at: datetime | None
    end_reason: str | None
    state: str
    by: str | None
    by_at: datetime | None
    person: str
    """Whom the camera took it for; empty where there is nobody to follow."""
    second_at: datetime | None
    """When a second screen was called."""
    out_at: datetime | None
    """When it left the browser."""
    outcome: str | None
    cause: str | None
    note: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    joined: tuple[int, ...] = ()
    """The others of the same row."""

    @property
    def rings(self) -> bool:
        """What came late is shown, never rung."""
        return self.state == State.OPEN and not self.late

    @property
    def ids(self) -> tuple[int, ...]:
        return (self.id, *self.joined)

    @property
    def box_parts(self) -> list[str]:
        return self.box.split()


JOINED_WITHIN = timedelta(seconds=30)


def rows(alerts: Iterable[Alert]) -> list[Alert]:
    """One person's alerts within half a minute of each other are one row, however they came. Oldest first."""

    def person(one: Alert) -> tuple[str, str, str, str]:
        # what was resolved is over: whoever leaves again after it is a new row
        return one.kind, one.site, one.person or str(one.id), str(one.resolved_at)

    made: list[Alert] = []
    for _, same in groupby(sorted(alerts, key=lambda one: (person(one), one.first_at, one.id)), key=person):
        chain: list[Alert] = []
        for one in same:
            if chain and one.first_at - chain[-1].first_at > JOINED_WITHIN:
                made.append(_joined(chain))
                chain = []
            chain.append(one)
        made.append(_joined(chain))
    return sorted(made, key=lambda one: (one.first_at, one.id))


def _joined(chain: Sequence[Alert]) -> Alert:
    head, last = chain[0], chain[-1]
    if last is head:
        return head
    pictured = next((one for one in chain if one.evidence), head)
    return replace(
        head,
        last_at=max(one.last_at for one in chain),
        count=sum(one.count for one in chain),
        level=max(one.level for one in chain),
        certainty=min(one.certainty for one in chain),
        evidence=pictured.evidence,
        box=pictured.box,
        late=all(one.late for one in chain),
        ended_at=last.ended_at,
        end_reason=last.end_reason,
        joined=tuple(one.id for one in chain[1:]),
    )


# Escalation


@dataclass(frozen=True)
class Patience:
    """How long an alert may wait for somebody."""

    second: timedelta = timedelta(seconds=60)
    """Then a second screen rings."""
    out: timedelta = timedelta(seconds=180)
    """Then whoever is to be told outside of the browser is."""


def goes_to_second(one: Alert, patience: Patience, now: datetime) -> bool:
    return one.rings and one.kind == BREACH and one.second_at is None and now - one.raised_at >= patience.second


def goes_out(one: Alert, patience: Patience, now: datetime) -> bool:
    return one.rings and one.kind == BREACH and one.out_at is None and now - one.raised_at >= patience.out


# What a zone's alerts teach

FIGURES_OF = timedelta(days=30)
_LEAST_FALSE = 5
_BANDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(19))
_SILENCED = 0.8


@dataclass(frozen=True, kw_only=True)
class Zone:
    """What came of a zone's breaches in the last thirty days."""

    site: str
    camera: str
    zone: str
    breaches: int
    resolved: int
    false: int
    causes: Mapping[str, int]
    band: float | None
    """In body heights: four fifths of the false alarms would not have been, and none of the true ones had been missed.
    None: there is no such band, or too little to go by."""


Place = tuple[str, str, str]
"""Site, camera, zone."""


def zones(
    counts: Iterable[tuple[Place, str | None, str | None, int]],
    beyond: Iterable[tuple[Place, str, float | None]],
) -> list[Zone]:
    """From how many breaches of a zone came to what for what cause, and how far beyond the line those were that came
    to something. The zone with the most false alarms first.
    """
    breaches: Counter[Place] = Counter()
    resolved: Counter[Place] = Counter()
    causes: dict[Place, Counter[str]] = defaultdict(Counter)
    for place, outcome, cause, count in counts:
        breaches[place] += count
        resolved[place] += count if outcome is not None else 0
        if outcome == Outcome.FALSE_ALARM:
            causes[place][cause or Cause.OTHER] += count
    distances: dict[Place, tuple[list[float | None], list[float | None]]] = defaultdict(lambda: ([], []))
    for place, outcome, distance in beyond:
        distances[place][outcome != Outcome.FALSE_ALARM].append(distance)
    made = [
        Zone(
            site=place[0],
            camera=place[1],
            zone=place[2],
            breaches=count,
            resolved=resolved[place],
            false=causes[place].total(),
            causes=MappingProxyType(dict(causes[place].most_common())),
            band=band(*distances[place]),
        )
        for place, count in breaches.items()
    ]
    return sorted(made, key=lambda one: (-one.false, -one.breaches, one.site, one.camera, one.zone))


def band(false: Sequence[float | None], true: Sequence[float | None]) -> float | None:
    """From how far beyond the line bodies were when they were told, in body heights."""
    wrong = [beyond for beyond in false if beyond is not None]
    right = [beyond for beyond in true if beyond is not None]
    if len(wrong) < _LEAST_FALSE or len(right) < len(true):  # of a true one that says nothing, nothing can be promised
        return None
    fit = (
        width
        for width in _BANDS
        if sum(beyond < width for beyond in wrong) >= _SILENCED * len(wrong) and width < min(right, default=1.0)
    )
    return next(fit, None)
