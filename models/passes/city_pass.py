"""The city's own pass: `CUAO1:` base45(COSE_Sign1(CWT)), Ed25519, small enough for a QR code of version 10-M.

Larger modules read farther than better error correction, so nothing is compressed (it would grow) and the name is kept
short. The pass names its holder by number, and carries facts of the vocabulary that hold while it does.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from models.passes import base45, cbor, cose
from models.passes.facts import Value
from models.passes.names import name_key
from models.passes.scan import Pass, Scalar

PREFIX = "CUAO1:"
MOST_CHARACTERS = 311
"""What a QR symbol of version 10-M holds in its alphanumeric mode."""
_OWN = -65537
"""Our claim: a map of the four below. Negative below -65536 is for private use."""
_IDS, _NAME, _BIRTH, _FACTS = range(1, 5)
_ID_KINDS = ("cccd", "cmnd", "passport", "bhyt", "qid")
"""Their places are in passes that people hold: append only."""
_DIGITS = {"cccd": 12, "cmnd": 9}
"""Numbers of one length: they travel as numbers."""
_FACT_NAMES = (
    "doses",
    "last_dose_on",
    "last_test_negative_at",
    "recovered_on",
    "permit_groups",
    "permit_zones",
    "declared_at",
    "home_zone",
)
"""As above. What tells against a person is never in it: that has to be looked up."""


_ID_AT, _FACT_AT = dict(enumerate(_ID_KINDS)), dict(enumerate(_FACT_NAMES))


class BadPass(ValueError):
    """A pass that cannot be issued; the message says why, and repeats nothing of the person."""


class CityPass(Struct, frozen=True, kw_only=True):
    """What central puts into a pass."""

    id: bytes
    """Eight random bytes: the name under which it can be taken back."""
    issuer: str
    issued_at: datetime
    expires_at: datetime
    ids: tuple[tuple[str, str], ...]
    name: str
    birth: str
    """ISO date, or only the year."""
    facts: Mapping[str, Value] = {}


def issue(made: CityPass, sign: Callable[[bytes], bytes]) -> str:
    """The QR code's text; `sign` makes a COSE_Sign1. A name that does not fit is left out. Raises BadPass."""
    for name in dict.fromkeys((name_key(made.name), "")):
        text = PREFIX + base45.encode(sign(_payload(made, name)))
        if len(text) <= MOST_CHARACTERS:
            return text
    raise BadPass(f"{len(text)} characters, {MOST_CHARACTERS} fit; leave facts out")


def _payload(made: CityPass, name: str) -> bytes:
    strange = {kind for kind, _ in made.ids}.difference(_ID_KINDS) | made.facts.keys() - set(_FACT_NAMES)
    if strange:
        raise BadPass(f"{min(strange)!r} does not go into a pass")
    if len(made.id) != 8 or not made.ids or made.expires_at <= made.issued_at:
        raise BadPass("a pass needs an id of eight bytes, a number, and an end after its beginning")
    own = {
        _IDS: {_ID_KINDS.index(kind): int(value) if kind in _DIGITS else value for kind, value in made.ids},
        _NAME: name,
        _BIRTH: int(made.birth.replace("-", "") or 0),
        _FACTS: {_FACT_NAMES.index(name): _packed(value) for name, value in made.facts.items()},
    }
    return cbor.encode(
        {
            cose.ISSUER: made.issuer,
            cose.EXPIRES: int(made.expires_at.timestamp()),
            cose.ISSUED: int(made.issued_at.timestamp()),
            cose.ID: made.id,
            _OWN: own,
        }
    )


def _packed(value: Value) -> int | str:
    """Days and instants as numbers, names as one text."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, date):
        return value.toordinal()
    return " ".join(value) if isinstance(value, tuple) else value


def matches(text: str) -> bool:
    return text.startswith(PREFIX)


def read(text: str) -> Pass:
    """Of a text that `matches`: down to what is signed. `trust.confirm` reads that."""
    try:
        signed = cose.read(base45.decode(text[len(PREFIX) :]))
    except base45.BadBase45:
        return Pass(kind="city", reasons=("base45",))
    except cbor.BadCbor:
        return Pass(kind="city", reasons=("cbor",))
    except cose.BadCose:
        return Pass(kind="city", reasons=("cose",))
    return Pass(kind="city", signed=signed, signature="unknown_key")


def of_payload(raw: bytes) -> Pass:
    """What the signed part says."""
    unreadable = Pass(kind="city", signature="unknown_key", reasons=("schema",))
    try:
        claims = cose.claims(raw)
        match claims.get(_OWN), claims.get(cose.ID), cose.moment(claims.get(cose.EXPIRES)):
            case {1: dict() as ids, 2: str() as name, 3: int() as birth, 4: dict() as facts}, bytes() as code_id, until:
                if until is None:
                    return unreadable
                return Pass(
                    kind="city",
                    ids=tuple(_id(place, value) for place, value in ids.items()),
                    name=name or None,
                    birth=date.fromisoformat(str(birth)) if birth > 9999 else None,
                    birth_year=(birth // 10_000 if birth > 9999 else birth) or None,
                    facts=dict(_fact(place, value) for place, value in facts.items() if place in _FACT_AT),
                    fields={"issuer": str(claims.get(cose.ISSUER)), "contains": "city", "uci": code_id.hex()},
                    valid_from=cose.moment(claims.get(cose.ISSUED)),
                    valid_until=until,
                    signature="unknown_key",
                )
    except cbor.BadCbor:
        return replace(unreadable, reasons=("cbor",))
    except (LookupError, TypeError, ValueError, OverflowError):
        return unreadable
    return unreadable


def _id(place: int, value: Any) -> tuple[str, str]:
    kind = _ID_AT[place]
    return kind, str(value).zfill(_DIGITS.get(kind, 0))


def _fact(place: int, value: Any) -> tuple[str, Scalar]:
    name = _FACT_AT[place]
    if name.endswith("_on"):
        return name, date.fromordinal(value).isoformat()
    if name.endswith("_at") and (moment := cose.moment(value)):
        return name, moment.isoformat()
    if name.endswith("_at") or not isinstance(value, int | str):
        raise TypeError(name)
    return name, value
