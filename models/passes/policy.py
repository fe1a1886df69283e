"""A policy: what a decree says, as data. Content-addressed, effective from an hour, changed without a redeploy."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from models.passes import certlogic
from models.passes.facts import VOCABULARY
from models.passes.outcome import Outcome
from models.passes.reasons import REASONS

CONTEXT: Mapping[str, str] = MappingProxyType(
    {
        "now": "the instant of the decision",
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
    accepts: frozenset[str]
    """Kinds of signed codes whose holder need not be in the registry: what they say suffices."""
    reads: frozenset[str]
    """Facts that an answer may rest on."""
    ageing: tuple[Need, ...]
    """Needs that end with time."""


class _Need(Struct, frozen=True, forbid_unknown_fields=True):
    fact: str
    max_age_hours: Annotated[int, Meta(gt=0)] | None = None
    absent: str = "no_data"
    stale: str = "stale_data"


class _Row(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1)]
    when: Any
    outcome: Literal["CHECK", "FAIL"]
    reason: str
    needs: tuple[_Need, ...] = ()


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    effective_from: Annotated[datetime, Meta(tz=True)]
    rows: Annotated[tuple[_Row, ...], Meta(min_length=1, max_length=64)]
    title: str = ""
    offline_hours: Annotated[int, Meta(gt=0, le=168)] = 24
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
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
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
        accepts=frozenset(read.accepts),
        reads=frozenset().union(*(row.reads for row in rows)),
        ageing=tuple(need for row in rows for need in row.needs if need.max_age is not None),
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
    for need in row.needs:
        if need.fact not in VOCABULARY:
            raise BadPolicy(f"{where}: needs {need.fact!r}, which is no fact; use one of: {', '.join(VOCABULARY)}")
    try:
        when = certlogic.compile(row.when)
    except certlogic.BadExpression as error:
        raise BadPolicy(f"{where}: when: {error}") from error
    names = set(certlogic.variables(row.when))
    strange = sorted(names - VOCABULARY.keys() - CONTEXT.keys())
    if strange:
        known = ", ".join([*VOCABULARY, *CONTEXT])
        raise BadPolicy(f"{where}: when reads {strange[0]!r}, which is not in the vocabulary; use one of: {known}")
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
