"""What one code says, before anybody believes it."""

from datetime import date, datetime
from typing import Any, Literal

from msgspec import Struct

Scalar = str | int | float | bool
Kind = Literal[
    "personal", "cccd", "bhyt", "hcert", "city", "venue", "shc", "nzcp", "vds_nc", "url", "unknown", "typed", "paper"
]
Signature = Literal["valid", "invalid", "unknown_key", "none"]


Usage = Literal["ok", "wrong", "unstated"]


class Signed(Struct, frozen=True, kw_only=True):
    """A COSE_Sign1 as it was read: what a key has to confirm before a word of the payload counts."""

    alg: int
    kid: bytes
    """Names the key; empty when the code names none. It is not unique."""
    protected: bytes
    payload: bytes
    signature: bytes


class Pass(Struct, frozen=True, kw_only=True):
    """A code, read and named. It lives in RAM only: `ids`, `name`, `birth` and `fields` identify a person.

    `reasons` lists every way in which the code contradicts itself or cannot be used (empty when it is sound); a code
    with reasons is still a Pass, because every code that was shown gets an answer.
    """

    kind: Kind
    ids: tuple[tuple[str, str], ...] = ()
    """(kind, value) of every number in it, best first: qid, cccd, cmnd, passport, bhyt, phone. Not the masked ones."""
    name: str | None = None
    birth: date | None = None
    birth_year: int | None = None
    sex: Literal["male", "female"] | None = None
    facts: dict[str, Scalar] = {}
    """What the decision needs besides the registry's facts; names nobody."""
    fields: dict[str, Any] = {}
    """What else the code says, as JSON has it: address, clinic, the health certificate itself."""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    signed: Signed | None = None
    signature: Signature = "none"
    """Until `trust.confirm` has looked for its key, a signed code is signed by somebody unknown, and says nothing."""
    usage: Usage = "unstated"
    """Whether its key may sign what it signs."""
    reasons: tuple[str, ...] = ()
