"""decide(facts, policy, now): the same pure function at the edge and at central.

A fault of ours, or of the code, is CHECK and never FAIL; all reasons are returned, the most severe first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from models.passes import certlogic
from models.passes.facts import VOCABULARY, BadFact, Fact, to_json
from models.passes.outcome import Outcome
from models.passes.policy import Need, Policy, Row
from models.passes.scan import Scalar

_NOTHING: Mapping[str, Scalar] = MappingProxyType({})


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
    among them) and, where there are any, `kind` and `signature`. Raises BadFact for a name outside the vocabulary.
    """
    strange = facts.keys() - VOCABULARY.keys()
    if strange:
        raise BadFact(f"{min(strange)!r} is no fact")
    holding = {name: fact for name, fact in facts.items() if fact.holds(now)}
    found = [(Outcome.CHECK, reason) for reason in _about_code(code)]
    known = "known" in holding and holding["known"].value is True
    if not known and not found:
        found.append((Outcome.CHECK, "unknown"))
    if now < policy.effective_from:
        found.append((Outcome.CHECK, "no_policy"))
    elif known:
        data: dict[str, Any] = {name: to_json(fact.value) for name, fact in holding.items()}
        data |= {"now": to_json(now), "place": place}
        data |= {"code_kind": code.get("kind", "unknown"), "code_signature": code.get("signature", "none")}
        found += [answer for row in policy.rows for answer in _about_row(row, holding, data, now)]
    found.sort(key=lambda answer: -answer[0].severity)
    return Decision(
        outcome=found[0][0] if found else Outcome.PASS,
        reasons=tuple(dict.fromkeys(reason for _, reason in found)),
        valid_until=min(_expiries(policy, holding), default=None) if known else None,
        policy=policy.id,
    )


def _about_code(code: Mapping[str, Scalar]) -> Iterator[str]:
    yield from str(code.get("reasons", "")).split()
    if code.get("signature") in {"invalid", "unknown_key"}:
        yield f"signature_{code['signature']}"


def _about_row(
    row: Row, holding: Mapping[str, Fact], data: dict[str, Any], now: datetime
) -> Iterator[tuple[Outcome, str]]:
    lacking = [reason for need in row.needs if (reason := _lacking(need, holding, now))]
    if lacking:
        yield from ((Outcome.CHECK, reason) for reason in lacking)
        return
    try:
        struck = certlogic.truthy(row.when(data))
    except certlogic.Mismatch:
        yield Outcome.CHECK, "rule_error"
        return
    if struck:
        yield row.outcome, row.reason


def _lacking(need: Need, holding: Mapping[str, Fact], now: datetime) -> str | None:
    fact = holding.get(need.fact)
    if fact is None:
        return need.absent
    if need.max_age is not None and now - fact.happened_at >= need.max_age:
        return need.stale
    return None


def _expiries(policy: Policy, holding: Mapping[str, Fact]) -> Iterator[datetime]:
    for row in policy.rows:
        yield from (fact.until for name in row.reads if (fact := holding.get(name)) and fact.until)
        yield from (
            fact.happened_at + need.max_age
            for need in row.needs
            if need.max_age is not None and (fact := holding.get(need.fact))
        )
