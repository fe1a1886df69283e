"""Whose signatures count: keys, the list of them, and the answer that they give about a code.

The box's eye opens a code without any key; here its signature is looked for, and what is signed is read.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct
from msgspec.structs import replace

from models.passes import city_pass, cose, hcert
from models.passes.facts import LOCAL
from models.passes.revocation import NONE_REVOKED, Revocations
from models.passes.scan import Pass, Scalar, Signature, Signed, Usage

Purpose = Literal["test", "vaccination", "recovery", "city"]
_Public = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey
_ECDSA = ec.ECDSA(hashes.SHA256())
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
_MOST_TRIED = 32
"""A list may hold thousands of keys; a code that names none of them is not tried on all."""
# 1.3.6.1.4.1.1847.2021.1.{1,2,3}, also with the extra 0 that some states write, as DER spells them
_OIDS = tuple(bytes.fromhex(head) for head in ("060b2b060104018e378f6501", "060c2b06010401008e378f6501"))
_PURPOSES: Mapping[int, Purpose] = MappingProxyType({1: "test", 2: "vaccination", 3: "recovery"})


class Untrusted(ValueError):
    """A key or a list of keys that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and what it may sign."""

    kid: bytes
    public: _Public = field(repr=False)
    not_before: datetime | None = None
    not_after: datetime | None = None
    purposes: frozenset[Purpose] = frozenset()
    """Empty: nothing is stated, so anything."""

    def confirms(self, signed: Signed) -> bool:
        data = cose.to_sign(signed.protected, signed.payload)
        public, signature = self.public, signed.signature
        try:
            match signed.alg:
                case cose.ES256 | cose.UNNAMED if isinstance(public, ec.EllipticCurvePublicKey):
                    half = (public.curve.key_size + 7) // 8
                    if len(signature) != 2 * half:
                        return False
                    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
                    public.verify(utils.encode_dss_signature(r, s), data, _ECDSA)
                case cose.PS256 | cose.UNNAMED if isinstance(public, rsa.RSAPublicKey):
                    public.verify(signature, data, _PSS, hashes.SHA256())
                case cose.EDDSA | cose.UNNAMED if isinstance(public, Ed25519PublicKey):
                    public.verify(signature, data)
                case _:
                    return False
        except InvalidSignature:
            return False
        return True

    def in_time(self, now: datetime) -> bool:
        return (self.not_before is None or self.not_before <= now) and (self.not_after is None or now <= self.not_after)

    def usage(self, contains: str) -> Usage:
        if not self.purposes:
            return "unstated"
        return "ok" if contains in self.purposes else "wrong"


def from_certificate(der: bytes) -> Key:
    """A state's certificate, or its bare public key. Raises Untrusted."""
    kid = hashlib.sha256(der).digest()[:8]
    try:
        certificate = x509.load_der_x509_certificate(der)
        # Not by `certificate.extensions`: some states' certificates have others that a strict reader refuses.
        purposes = frozenset(
            purpose for number, purpose in _PURPOSES.items() if any(oid + bytes([number]) in der for oid in _OIDS)
        )
        public = certificate.public_key()
        if not isinstance(public, _Public):
            raise Untrusted(f"{type(public).__name__} signs no codes")
        return Key(kid, public, certificate.not_valid_before_utc, certificate.not_valid_after_utc, purposes)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Untrusted(f"no certificate: {error}") from error


class Keys:
    """What a code's signature is looked for in."""

    def __init__(self, keys: Iterable[Key] = (), *, skipped: int = 0) -> None:
        self.skipped = skipped
        """Keys of the list that cannot be used here."""
        self._all = tuple(keys)
        self._by_kid: dict[bytes, list[Key]] = defaultdict(list)
        for key in self._all:
            self._by_kid[key.kid].append(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._all)

    def find(self, signed: Signed) -> tuple[Signature, Key | None]:
        """Every key of that name is tried: names are short and not unique. A code without a name is tried on all."""
        named: Sequence[Key] = self._by_kid.get(signed.kid, ()) if signed.kid else self._all
        for key in named[:_MOST_TRIED]:
            if key.confirms(signed):
                return "valid", key
        return ("invalid", named[0]) if named else ("unknown_key", None)


_READERS: Mapping[str, Callable[[bytes], Pass]] = MappingProxyType(
    {"hcert": hcert.of_payload, "city": city_pass.of_payload}
)
NO_KEYS = Keys()


def confirm(code: Pass, keys: Keys = NO_KEYS, *, now: datetime | None, revoked: Revocations = NONE_REVOKED) -> Pass:
    """The same code with its signature looked for. Of a signed code only what the signature covers is read.

    `now` is None while the clock is not set: then nothing can be said of its time, and that is a reason.
    """
    if code.signed is None or code.kind not in _READERS:
        return _unsigned(code, now)
    signature, key = keys.find(code.signed)
    read = _READERS[code.kind](code.signed.payload)
    contains = read.fields.get("contains")
    usage: Usage = key.usage(contains) if key and contains else "unstated"
    reasons = [*read.reasons]
    if signature != "valid":
        reasons.append("unknown_key" if signature == "unknown_key" else "signature")
    if usage == "wrong":
        reasons.append("key_usage")
    reasons += _reasons_of_time(read, key, now)
    if revoked.holds(str(read.fields.get("uci", ""))):
        reasons.append("revoked")
    told: dict[str, Scalar] = {"reasons": " ".join(reasons)} if reasons else dict(read.facts)
    if read.valid_until and not reasons:
        told["valid_until"] = read.valid_until.isoformat()
    return replace(
        read,
        signed=code.signed,
        signature=signature,
        usage=usage,
        reasons=tuple(reasons),
        facts=told,
    )


def _unsigned(code: Pass, now: datetime | None) -> Pass:
    reasons = code.reasons
    if now and code.birth and code.birth > now.astimezone(LOCAL).date() and "birth_date" not in reasons:
        reasons = (*reasons, "birth_date")
    facts = code.facts | {"reasons": " ".join(reasons)} if reasons else code.facts
    return replace(code, signature="none", usage="unstated", signed=None, reasons=reasons, facts=facts)


def _reasons_of_time(code: Pass, key: Key | None, now: datetime | None) -> list[str]:
    if now is None:
        return ["clock_unset"]
    reasons = []
    if expired(code, now):
        reasons.append("expired")
    if code.valid_from and (code.valid_from - now).total_seconds() > 0:
        reasons.append("not_yet")
    if key and not key.in_time(now):
        reasons.append("key_expired")
    return reasons


def expired(code: Pass, now: datetime) -> bool:
    return code.valid_until is not None and now > code.valid_until


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key of the city's passes."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def kid(self) -> bytes:
        return hashlib.sha256(self.public).digest()[:8]

    def sign(self, payload: bytes) -> bytes:
        """A tagged COSE_Sign1."""
        protected = cose.header(cose.EDDSA, self.kid)
        return cose.write(protected, payload, self.private.sign(cose.to_sign(protected, payload)))


def own_key(public: bytes, *, not_before: datetime | None = None, not_after: datetime | None = None) -> Key:
    """The key of the city's passes, from its 32 raw bytes. Raises Untrusted."""
    try:
        loaded = Ed25519PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise Untrusted(f"no Ed25519 key: {error}") from error
    return Key(hashlib.sha256(public).digest()[:8], loaded, not_before, not_after, frozenset(("city",)))


class Listed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as the trust list has it: a state's certificate, or 32 raw bytes of our own."""

    certificate: bytes | None = None
    own: bytes | None = None
    not_before: Annotated[datetime, Meta(tz=True)] | None = None
    not_after: Annotated[datetime, Meta(tz=True)] | None = None

    def loaded(self) -> Key:
        """Raises Untrusted."""
        if self.own is not None:
            return own_key(self.own, not_before=self.not_before, not_after=self.not_after)
        return from_certificate(self.certificate or b"")


class TrustList(Struct, frozen=True, kw_only=True):
    """Whose signatures count. It travels in the snapshot that central signs, and is swapped with it in one step."""

    keys: tuple[Listed, ...]

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


def read_list(document: bytes) -> Keys:
    """The keys of a trust list; one state's odd key does not lose the others. Raises Untrusted."""
    try:
        listed = msgspec.json.decode(document, type=TrustList).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Untrusted(f"trust list: {error}") from error
    keys, skipped = [], 0
    for one in listed:
        try:
            keys.append(one.loaded())
        except Untrusted:
            skipped += 1
    return Keys(keys, skipped=skipped)
