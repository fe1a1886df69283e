"""decide(facts, policy, now): the same pure function at the edge and at central.

A fault of ours, or of the code, is CHECK and never FAIL; all reasons are returned, the most severe first.
"""

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from models.passes import certlogic
from models.passes.facts import LOCAL, VOCABULARY, BadFact, Fact, parse, to_json
from models.passes.outcome import Outcome
from models.passes.policy import Need, Policy, Row
from models.passes.reasons import REASONS
from models.passes.scan import Scalar

_NOTHING: Mapping[str, Scalar] = MappingProxyType({})
_SIGNATURE_REASONS = MappingProxyType({"invalid": "signature", "unknown_key": "unknown_key"})
_COURSE = frozenset({"doses", "last_dose_on"})
_TOLD_BY_CODES = _COURSE | {
    "last_test_negative_at",
    "last_test_positive_at",
    "recovered_on",
    "declared_at",
    "permit_groups",
    "permit_zones",
    "home_zone",
}
"""Who a person is, and what is ordered of them, only the registry says."""


@dataclass(frozen=True, slots=True)
class Decision:
    outcome: Outcome
    reasons: tuple[str, ...]
    """Names out of `models.passes.reasons`, most severe first; empty for PASS."""
    valid_until: datetime | None
    """When the first of the facts it rests on expires."""
    policy: str
    """The policy's id."""


def decide(
    facts: Mapping[str, Fact],
    policy: Policy,
    now: datetime,
    *,
    code: Mapping[str, Scalar] = _NOTHING,
    place: str = "",
) -> Decision:
    """Answer for one person at one place.

    `facts` of nobody (empty, or without `known`) is an unknown person. `code` holds the code's facts (its `reasons`
    among them) and, where there are any, `kind` and `signature`. What a code says counts only under a valid signature
    and where nothing is wrong with the code; then it adds to what the registry knows, and never takes away. Raises
    BadFact for a name outside the vocabulary.
    """
    for name in facts:
        if name not in VOCABULARY:
            raise BadFact(f"{name!r} is no fact")
    holding = {name: fact for name in policy.reads if (fact := facts.get(name)) is not None and fact.holds(now)}
    found = [(Outcome.CHECK, reason) for reason in _about_code(code)] if code else []
    record = facts.get("known")
    known = record is not None and record.value is True and record.holds(now)
    ends = None
    if not found and code.get("signature") == "valid":
        holding = _joined(holding, _signed(code, now))
        known = known or code.get("kind") in policy.accepts
        ends = _moment(code.get("valid_until"))
    if not known and not found:
        found.append((Outcome.CHECK, "unknown"))
    if now < policy.effective_from:
        found.append((Outcome.CHECK, "no_policy"))
    elif known:
        data = _data(holding, policy.rules_read, now, code, place)
        for row in policy.rows:
            found += _about_row(row, holding, data, now)
    if len(found) > 1:
        found.sort(key=lambda answer: -answer[0].severity)
    return Decision(
        outcome=found[0][0] if found else Outcome.PASS,
        reasons=tuple(dict.fromkeys(reason for _, reason in found)),
        valid_until=_earliest(policy, holding, ends, now) if known else None,
        policy=policy.id,
    )


def _data(
    holding: Mapping[str, Fact], asked: AbstractSet[str], now: datetime, code: Mapping[str, Scalar], place: str
) -> dict[str, Any]:
    """What the rules read, as JSON has it."""
    data: dict[str, Any] = {name: to_json(fact.value) for name, fact in holding.items() if name in asked}
    data["place"] = place
    data["code_kind"] = code.get("kind", "unknown")
    data["code_signature"] = code.get("signature", "none")
    if "now" in asked:
        data["now"] = to_json(now)
    if "year" in asked:
        data["year"] = now.astimezone(LOCAL).year
    return data


def _about_code(code: Mapping[str, Scalar]) -> list[str]:
    """What is wrong with the code; that a number is masked is told, and held against nobody."""
    told = str(code.get("reasons", "")).split()
    reasons = [reason for reason in told if reason not in REASONS or REASONS[reason].outcome is not Outcome.PASS]
    if (reason := _SIGNATURE_REASONS.get(str(code.get("signature")))) and reason not in reasons:
        reasons.append(reason)
    return reasons


def _signed(code: Mapping[str, Scalar], now: datetime) -> dict[str, Fact]:
    """The facts that a sound, signed code tells."""
    told = {}
    for name in _TOLD_BY_CODES & code.keys():
        raw = code[name]
        try:
            value = parse(name, raw.split() if name.startswith("permit_") and isinstance(raw, str) else raw)
        except BadFact:  # a newer issuer's: what cannot be read is not known
            continue
        fact = Fact(value, now, None, now, "code")
        if fact.holds(now):
            told[name] = fact
    return told


def _joined(registry: Mapping[str, Fact], code: Mapping[str, Fact]) -> dict[str, Fact]:
    """Of each fact the one that says more: the later day, the further course of doses; else the registry's."""
    joined = {**code, **registry}
    for name in (registry.keys() & code.keys()) - _COURSE:
        if isinstance(code[name].value, date) and code[name].happened_at > registry[name].happened_at:
            joined[name] = code[name]
    if "doses" in registry and "doses" in code and registry["doses"].value < code["doses"].value:  # type: ignore[operator]
        joined |= {name: code[name] for name in _COURSE if name in code}
    return joined


def _moment(text: Scalar | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _about_row(
    row: Row, holding: Mapping[str, Fact], data: dict[str, Any], now: datetime
) -> Sequence[tuple[Outcome, str]]:
    if row.needs:
        lacking = [reason for need in row.needs if (reason := _lacking(need, holding, now))]
        if lacking:
            return [(Outcome.CHECK, reason) for reason in lacking]
    try:
        value = row.when(data)
        struck = value is not None and value is not False and certlogic.truthy(value)
    except certlogic.Mismatch:
        return ((Outcome.CHECK, "rule_error"),)
    return ((row.outcome, row.reason),) if struck else ()


def _lacking(need: Need, holding: Mapping[str, Fact], now: datetime) -> str | None:
    fact = holding.get(need.fact)
    if fact is None:
        return need.absent
    if need.max_age is not None and now - fact.happened_at >= need.max_age:
        return need.stale
    return None


def _earliest(
    policy: Policy, holding: Mapping[str, Fact], code_ends: datetime | None, now: datetime
) -> datetime | None:
    """When the first of what the answer rests on ends."""
    ends = [fact.until for fact in holding.values() if fact.until is not None]
    if code_ends is not None:
        ends.append(code_ends)
    for name, age in policy.ageing:
        fact = holding.get(name)
        if fact is not None and (end := fact.happened_at + age) > now:
            ends.append(end)
    return min(ends, default=None)


def with_photo(made: Decision, policy: Policy, scan: str) -> Decision:
    """By chance, a PASS becomes a look at the photo ID: whoever borrows a code cannot rely on never being asked.

    The scan's id throws the dice, so that gate and central ask the same people.
    """
    dice = int.from_bytes(hashlib.sha256(scan.encode()).digest()[:4], "big") % 100
    if made.outcome is not Outcome.PASS or dice >= policy.photo_percent:
        return made
    return replace(made, outcome=Outcome.CHECK, reasons=("photo_id",))
