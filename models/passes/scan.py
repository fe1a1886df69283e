"""What one code says, before anybody believes it."""

from datetime import date
from typing import Literal

from msgspec import Struct

Scalar = str | int | float | bool
Kind = Literal["personal", "cccd", "bhyt", "hcert", "city", "venue", "shc", "nzcp", "vds_nc", "url", "unknown"]
Signature = Literal["valid", "invalid", "unknown_key", "none"]


class Pass(Struct, frozen=True, kw_only=True):
    """A code, read and named. It lives in RAM only: `ids`, `name` and `birth` identify a person.

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
    signature: Signature = "none"
    reasons: tuple[str, ...] = ()
