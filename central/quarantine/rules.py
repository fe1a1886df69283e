"""When a walk test counts, and what may be said of a guarded camera. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

WALK_WITHIN = timedelta(minutes=15)
"""So long after its start a walk over the line proves a zone."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    at: datetime
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A supervisor's walk over a camera's lines while it is in trial."""

    site: str
    edge: str
    camera: str
    by: str
    started_at: datetime
    proofs: Mapping[str, Proof]
    """By zone."""

    def goes_on(self, now: datetime) -> bool:
        return now - self.started_at < WALK_WITHIN


Guard = Literal["armed", "unproven", "trial", "walking", "proven", "maintenance"]


def guard(mode: str, walk: Walk | None, now: datetime) -> Guard:
    """What a camera's guard is worth: armed without a walk test is armed on trust alone."""
    proven = walk is not None and bool(walk.proofs)
    if mode == "armed":
        return "armed" if proven else "unproven"
    if mode != "trial":
        return "maintenance"
    if proven:
        return "proven"
    return "walking" if walk is not None and walk.goes_on(now) else "trial"
