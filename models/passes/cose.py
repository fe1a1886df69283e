"""COSE_Sign1 (RFC 9052): what is signed, how, and by the key of which name. Reads only; `trust` has the keys."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from models.passes import cbor
from models.passes.scan import Signed

ES256, EDDSA, PS256 = -7, -8, -37
_ALG, _KID = 1, 4
_SIGN1, _CWT, _SELF = 18, 61, 55799
UNNAMED = 0
"""The algorithm of a code that names none: its key has only one way to sign here."""
ISSUER, EXPIRES, ISSUED, ID = 1, 4, 6, 7
"""Claims of a CWT."""
_LAST_YEAR_S = 250_000_000_000


class BadCose(ValueError):
    """CBOR, but no COSE_Sign1."""


def read(raw: bytes) -> Signed:
    """Tagged 18, 61(18) or not at all. Raises BadCbor or BadCose."""
    message = cbor.decode(raw)
    for number in (_SELF, _CWT, _SIGN1):
        if isinstance(message, cbor.Tag) and message.number == number:
            message = message.value
    match message:
        case [bytes() as protected, dict() as unprotected, bytes() as payload, bytes() as signature]:
            return _signed(protected, unprotected, payload, signature)
    raise BadCose("not four parts of the right kinds")


def _signed(protected: bytes, unprotected: dict[Any, Any], payload: bytes, signature: bytes) -> Signed:
    header = cbor.decode(protected) if protected else {}
    if not isinstance(header, dict):
        raise BadCose("the protected header is no map")
    # what is signed goes before what anybody can change
    alg, kid = (header.get(label, unprotected.get(label)) for label in (_ALG, _KID))
    if alg is None:
        alg = UNNAMED
    if type(alg) is not int or abs(alg) >= 1 << 31:
        raise BadCose("names its algorithm by no number")
    if isinstance(kid, str):  # as some specifications have it
        kid = kid.encode()
    if not isinstance(kid, bytes | None):
        raise BadCose("the key's name is not bytes")
    return Signed(alg=alg, kid=kid or b"", protected=protected, payload=payload, signature=signature)


def to_sign(protected: bytes, payload: bytes) -> bytes:
    """The bytes that the signature is over (Sig_structure)."""
    return b"\x84\x6aSignature1" + cbor.encode(protected) + b"\x40" + cbor.encode(payload)


def header(alg: int, kid: bytes) -> bytes:
    return cbor.encode({_ALG: alg, _KID: kid})


def write(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    return cbor.encode(cbor.Tag(_SIGN1, [protected, {}, payload, signature]))


def claims(payload: bytes) -> Mapping[Any, Any]:
    """The claims of a CWT (RFC 8392). Raises BadCbor."""
    read = cbor.decode(payload)
    if isinstance(read, cbor.Tag) and read.number == _CWT:
        read = read.value
    if not isinstance(read, dict):
        raise cbor.BadCbor("the payload is no map of claims")
    return read


def moment(seconds: Any) -> datetime | None:
    """A NumericDate; some states write fractions, some tag it."""
    if isinstance(seconds, cbor.Tag) and seconds.number == 1:
        seconds = seconds.value
    if type(seconds) not in {int, float} or not 0 <= seconds < _LAST_YEAR_S:
        return None
    return datetime.fromtimestamp(seconds, UTC)
