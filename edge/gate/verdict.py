"""What the officer's screen is told of a scan, and when. Pure: `now` is monotonic seconds, given by the caller.

The gate has its own answer at once; it waits a little for central's, paints one, and after that lets an answer become
only more severe: what was red never turns green.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from msgspec import UNSET

from edge.gate.snapshot import Snapshot
from models.passes import decision
from models.passes.facts import standing
from models.passes.names import name_key
from models.passes.outcome import Outcome
from models.passes.packing import Carried, name_tag
from models.passes.scan import Pass
from models.wire.events import Local, Verdict

_KEPT = 512
"""Scans remembered; older ones get no late answer."""
_PATIENT_S = 1.0
"""A gate that knows nobody can only say CHECK: it waits longer for somebody who does."""


def decide(
    code: Pass,
    snapshot: Snapshot | None,
    now: datetime,
    *,
    place: str,
    clock: Literal["synced", "holdover", "unset"] = "synced",
    scan: str = "",
) -> Local:
    """The gate's own answer: central's rules on what central last said. What the box lacks is CHECK, never FAIL."""
    if snapshot is None:
        return unknowing(code)
    policy = snapshot.policy(now)
    if clock == "unset" or policy is None:
        return Local(
            outcome=Outcome.CHECK,
            reasons=("no_policy" if clock != "unset" else "clock_unset", *code.reasons),
            snapshot_at=snapshot.as_of,
        )
    person = snapshot.find(code.ids)
    is_other = person is not None and _contradicts(code, person)
    facts = standing(person.history, now) if person and not is_other else {}
    of_code = code.facts | {"kind": code.kind, "signature": code.signature}
    made = decision.with_photo(decision.decide(facts, policy, now, code=of_code, place=place), policy, scan)
    outcome, reasons = made.outcome, made.reasons
    if person is None and not snapshot.is_complete:
        reasons = tuple("no_data" if reason == "unknown" else reason for reason in reasons)
    if not policy.reads <= snapshot.kinds:
        outcome, reasons = Outcome.CHECK, ("no_data", *reasons)
    if now - snapshot.as_of >= policy.offline:
        outcome, reasons = Outcome.CHECK, ("stale_data", *reasons)
    return Local(outcome=outcome, reasons=tuple(dict.fromkeys(reasons)), policy=policy.id, snapshot_at=snapshot.as_of)


def unknowing(code: Pass) -> Local:
    """Without a registry nobody is known: an officer looks."""
    return Local(outcome=Outcome.CHECK, reasons=("no_registry", *code.reasons))


def _contradicts(code: Pass, person: Carried) -> bool:
    """Whether another name or year of birth stands on the code. What is left out or masked is no contradiction."""
    if code.name and "*" not in code.name and name_tag(name_key(code.name)) != person.name_tag:
        return True
    year = code.birth.year if code.birth else code.birth_year
    return year is not None and person.birth_year is not None and year != person.birth_year


def masked(code: Pass, outcome: Outcome) -> str:
    """The holder as the officer sees him: the name when there is something to check, else initials; three digits."""
    words = (code.name or "").split()
    name = " ".join(words) if outcome is Outcome.CHECK else "".join(f"{word[0]}." for word in words)
    digits = f"···{code.ids[0][1][-3:]}" if code.ids else ""
    return " ".join(part for part in (name, digits) if part)


@dataclass(frozen=True, slots=True)
class Painting:
    """One change of the screen. `repeat` > 0: the same answer flashes again and is no new event."""

    scan: str
    outcome: Outcome
    reasons: tuple[str, ...]
    by: Literal["edge", "central"]
    after_ms: int
    repeat: int = 0
    as_of: datetime | None = None
    """How old the data is that the gate's own answer rests on."""


@dataclass(frozen=True, slots=True)
class _Scan:
    asked_at: float
    due_at: float
    local: Local
    painted: Painting | None = None


class Verdicts:
    """Scans that wait for their answer, and those that have one."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._scans: OrderedDict[str, _Scan] = OrderedDict()
        self.unknown = 0
        """Answers to scans that are not (or no longer) ours."""
        self.too_mild = 0
        """Late answers that were milder than what stands on the screen."""

    def ask(self, scan: str, local: Local, *, now: float, link_up: bool) -> list[Painting]:
        """A new scan. Its own answer is painted at once when nobody else can answer."""
        wait_s = max(self._wait_s, _PATIENT_S) if local.snapshot_at is UNSET and self._wait_s else self._wait_s
        self._scans[scan] = _Scan(now, now + wait_s, local)
        painted = []
        while len(self._scans) > _KEPT:
            oldest = next(iter(self._scans))
            if self._scans[oldest].painted is None:
                painted.append(self._paint_local(oldest, now))
            del self._scans[oldest]
        if not link_up or self._wait_s == 0:
            painted.append(self._paint_local(scan, now))
        return painted

    def answer(self, verdict: Verdict, *, now: float) -> Painting | None:
        """Central's answer: painted if it is the first, or worse than what is painted."""
        scan = self._scans.get(verdict.scan)
        if scan is None:
            self.unknown += 1
            return None
        if scan.painted is not None and verdict.outcome.severity <= scan.painted.outcome.severity:
            self.too_mild += scan.painted.outcome != verdict.outcome
            return None
        return self._paint(verdict.scan, verdict.outcome, verdict.reasons, "central", now)

    def due(self, *, now: float, link_up: bool) -> list[Painting]:
        """Own answers whose wait is over."""
        return [
            self._paint_local(name, now)
            for name, scan in self._scans.items()
            if scan.painted is None and (not link_up or now >= scan.due_at)
        ]

    def next_due(self) -> float | None:
        """When `due` has something again."""
        return min((s.due_at for s in self._scans.values() if s.painted is None), default=None)

    def again(self, scan: str, repeat: int) -> Painting | None:
        """The same code once more: what was painted flashes with the count. None while its answer is still awaited."""
        known = self._scans.get(scan)
        return None if known is None or known.painted is None else replace(known.painted, repeat=repeat)

    def knows(self, scan: str) -> bool:
        return scan in self._scans

    def _paint_local(self, scan: str, now: float) -> Painting:
        local = self._scans[scan].local
        return self._paint(scan, local.outcome, local.reasons, "edge", now)

    def _paint(
        self, scan: str, outcome: Outcome, reasons: Sequence[str], by: Literal["edge", "central"], now: float
    ) -> Painting:
        known = self._scans[scan]
        painting = Painting(
            scan,
            outcome,
            tuple(reasons),
            by,
            max(0, round((now - known.asked_at) * 1000)),
            as_of=known.local.snapshot_at or None if by == "edge" else None,
        )
        self._scans[scan] = replace(known, painted=painting)
        return painting
