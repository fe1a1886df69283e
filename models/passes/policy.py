"""A policy: what a decree says, as data. Content-addressed, effective from an hour, changed without a redeploy."""

import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from models.passes import certlogic
from models.passes.facts import VOCABULARY, BadFact, to_json
from models.passes.facts import parse as parse_fact
from models.passes.outcome import Outcome
from models.passes.reasons import REASONS

CONTEXT: Mapping[str, str] = MappingProxyType(
    {
        "now": "the instant of the decision",
        "year": "the year of the decision, in Viet Nam",
        "place": "id of the place where it is taken",
        "code_kind": "what kind of code was shown",
        "code_signature": "valid, invalid, unknown_key or none",
    }
)
"""What a rule may read besides facts."""


class BadPolicy(ValueError):
    """A policy that cannot be used; the message names file, row and remedy."""


@dataclass(frozen=True, slots=True)
class Need:
    """A fact that has to be there, and young enough, before a rule may run."""

    fact: str
    max_age: timedelta | None
    absent: str
    stale: str


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    needs: tuple[Need, ...]
    when: certlogic.Run
    reads: frozenset[str]
    """Facts that its answer rests on."""
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    id: str
    """SHA-256 of the document, hex: the version, too."""
    name: str
    effective_from: datetime
    rows: tuple[Row, ...]
    offline: timedelta
    """How old a gate's own data may be for its answer to count without central's."""
    photo_percent: int
    """Of those who may pass, so many are asked for a photo ID, by chance."""
    accepts: frozenset[str]
    """Kinds of signed codes whose holder need not be in the registry: what they say suffices."""
    reads: frozenset[str]
    """Facts that an answer may rest on."""
    rules_read: frozenset[str]
    """Those of them, and of the context, that a rule's expression reads; a need looks at the fact itself."""
    ageing: tuple[tuple[str, timedelta], ...]
    """(fact, age) after which a row may answer otherwise: what the answer's end is made of."""


class _Need(Struct, frozen=True, forbid_unknown_fields=True):
    fact: str
    max_age_hours: Annotated[int, Meta(gt=0)] | None = None
    absent: str = "no_data"
    stale: str = "stale_data"


class _End(Struct, frozen=True, forbid_unknown_fields=True):
    """The age at which `when` may turn: it cannot be seen from outside."""

    fact: str
    after_hours: Annotated[int, Meta(gt=0)]


class _Row(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1)]
    when: Any
    outcome: Literal["CHECK", "FAIL"]
    reason: str
    needs: tuple[_Need, ...] = ()
    ends: tuple[_End, ...] = ()


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    effective_from: Annotated[datetime, Meta(tz=True)]
    rows: Annotated[tuple[_Row, ...], Meta(min_length=1, max_length=64)]
    title: str = ""
    offline_hours: Annotated[int, Meta(gt=0, le=168)] = 24
    photo_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    source: str = ""
    accepts: tuple[Literal["hcert", "city"], ...] = ()


def load(path: Path) -> Policy:
    """Read, check and compile. Raises BadPolicy."""
    try:
        document = path.read_bytes()
    except OSError as error:
        raise BadPolicy(f"{path}: cannot be read: {error.strerror}; give the path of a policy file") from error
    return parse(document, name=str(path))


def parse(document: bytes, *, name: str) -> Policy:
    """As `load`, from bytes; `name` stands for the file in messages."""
    try:
        read = msgspec.json.decode(document, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadPolicy(f"{name}: {error}; correct it there") from error
    ids = [row.id for row in read.rows]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise BadPolicy(f"{name}: row {twice}: two rows have this id; name each once")
    rows = tuple(_compiled(row, f"{name}: row {row.id}") for row in read.rows)
    return Policy(
        id=hashlib.sha256(document).hexdigest(),
        name=read.name,
        effective_from=read.effective_from,
        rows=rows,
        offline=timedelta(hours=read.offline_hours),
        photo_percent=read.photo_percent,
        accepts=frozenset(read.accepts),
        reads=frozenset().union(*(row.reads for row in rows)),
        rules_read=frozenset(name for row in read.rows for name in certlogic.variables(row.when)),
        ageing=tuple(
            {
                *((need.fact, need.max_age) for row in rows for need in row.needs if need.max_age is not None),
                *((end.fact, timedelta(hours=end.after_hours)) for row in read.rows for end in row.ends),
            }
        ),
    )


def in_force(policies: Iterable[Policy], now: datetime) -> Policy | None:
    """The one whose hour came last; what comes into force later can be on the box already."""
    return max(
        (policy for policy in policies if policy.effective_from <= now),
        key=lambda policy: (policy.effective_from, policy.id),
        default=None,
    )


def _compiled(row: _Row, where: str) -> Row:
    for reason in (row.reason, *(word for need in row.needs for word in (need.absent, need.stale))):
        if reason not in REASONS:
            raise BadPolicy(f"{where}: reason {reason!r} has no text; use one of: {', '.join(REASONS)}")
    for fact in (*(need.fact for need in row.needs), *(end.fact for end in row.ends)):
        if fact not in VOCABULARY:
            raise BadPolicy(f"{where}: needs {fact!r}, which is no fact; use one of: {', '.join(VOCABULARY)}")
    try:
        when = certlogic.compile(row.when)
    except certlogic.BadExpression as error:
        raise BadPolicy(f"{where}: when: {error}") from error
    names = set(certlogic.variables(row.when))
    strange = sorted(names - VOCABULARY.keys() - CONTEXT.keys())
    if strange:
        known = ", ".join([*VOCABULARY, *CONTEXT])
        raise BadPolicy(f"{where}: when reads {strange[0]!r}, which is not in the vocabulary; use one of: {known}")
    blamed = _fails_by_absence(row, when, names & VOCABULARY.keys() - {need.fact for need in row.needs})
    if blamed:
        raise BadPolicy(f"{where}: {blamed}")
    needs = tuple(
        Need(
            need.fact,
            None if need.max_age_hours is None else timedelta(hours=need.max_age_hours),
            need.absent,
            need.stale,
        )
        for need in row.needs
    )
    return Row(
        id=row.id,
        needs=needs,
        when=when,
        reads=frozenset(names & VOCABULARY.keys()) | {need.fact for need in needs},
        outcome=Outcome(row.outcome),
        reason=row.reason,
    )


_SAMPLES: tuple[Any, ...] = (True, False, 0, 1, 2, 1950, 2015, "1900-01-01", "2100-01-01", "2021-09-21T06:00:00Z")
_SAMPLES += ("2021-09-20T06:00:00Z", "green", "yellow", "orange", "red", "elsewhere", "here", [], ["elsewhere"])
_MOST_READ_BY_FAIL = 3


def _fails_by_absence(row: _Row, when: certlogic.Run, names: AbstractSet[str]) -> str | None:
    """Why a row may not FAIL: nobody is stopped because something is not known. Tried out, on a value of each kind."""
    if row.outcome != "FAIL":
        return None
    if len(names) > _MOST_READ_BY_FAIL:
        return f"reads {len(names)} facts, {_MOST_READ_BY_FAIL} are allowed for FAIL; make two rows of it, or use needs"
    samples = {name: _values(name, [*_SAMPLES, *certlogic.literals(row.when)]) for name in sorted(names)}
    context = {"now": "2021-09-21T06:00:00.000Z", "year": 2021, "place": "here"}
    context |= {"code_kind": "cccd", "code_signature": "none"}
    for held in product(*([None, *values] for values in samples.values())):
        data = context | {name: value for name, value in zip(samples, held, strict=True) if value is not None}
        if not _strikes(when, data):
            continue
        for name in samples.keys() - data.keys():
            if not all(_strikes(when, data | {name: value}) for value in samples[name]):
                return f"FAIL because {name!r} is not known; put it into needs, or make it CHECK"
    return None


def _values(name: str, candidates: Iterable[Any]) -> list[Any]:
    """Those that this fact can have, as rules see them."""
    values = []
    for candidate in candidates:
        try:
            value = to_json(parse_fact(name, candidate))
        except BadFact:
            continue
        if value not in values:
            values.append(value)
    return values


def _strikes(when: certlogic.Run, data: Any) -> bool:
    try:
        return certlogic.truthy(when(data))
    except certlogic.Mismatch:  # is a CHECK when it happens
        return False
