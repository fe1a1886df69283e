"""Whose signatures count: keys, the signed list of them, and the answer that they give about a code.

The box's eye reads a code without any key; here its signature is looked for, and only then its words are believed. All
documents of ours that travel (trust list, policy, revocations) are COSE_Sign1 under a key that the box was given.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
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

from models.passes import cbor, city_pass, cose, hcert
from models.passes.revocation import Revocations
from models.passes.scan import Pass, Scalar, Signature, Signed, Usage

Purpose = Literal["test", "vaccination", "recovery", "city", "document"]
_Public = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey
_MOST_TRIED = 32
"""A list may hold thousands of keys; a code that names none of them is not tried on all."""
# 1.3.6.1.4.1.1847.2021.1.{1,2,3}, also with the extra 0 that some states write, as DER spells them
_OIDS = tuple(bytes.fromhex(head) for head in ("060b2b060104018e378f6501", "060c2b06010401008e378f6501"))
_PURPOSES: Mapping[int, Purpose] = MappingProxyType({1: "test", 2: "vaccination", 3: "recovery"})


class Untrusted(ValueError):
    """A document or a key that must not be used; the message says why."""


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
                case cose.ES256 if isinstance(public, ec.EllipticCurvePublicKey):
                    half = (public.curve.key_size + 7) // 8
                    if len(signature) != 2 * half:
                        return False
                    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
                    public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
                case cose.PS256 if isinstance(public, rsa.RSAPublicKey):
                    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
                    public.verify(signature, data, scheme, hashes.SHA256())
                case cose.EDDSA if isinstance(public, Ed25519PublicKey):
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

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._all = tuple(keys)
        self._by_kid: dict[bytes, list[Key]] = defaultdict(list)
        for key in self._all:
            self._by_kid[key.kid].append(key)

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
_NO_KEYS = Keys()
_NONE_REVOKED = Revocations()


def confirm(code: Pass, keys: Keys = _NO_KEYS, *, now: datetime | None, revoked: Revocations = _NONE_REVOKED) -> Pass:
    """The same code with its signature looked for. Of a signed code only what the signature covers is kept.

    `now` is None while the clock is not set: then nothing can be said of its time, and that is a reason.
    """
    if code.signed is None or code.kind not in _READERS:
        return replace(code, signature="none", signed=None)
    signature, key = keys.find(code.signed)
    # read again: the eye that read it first may have been lied to, or lie
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
    """A private key of ours."""

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


def own_key(
    public: bytes,
    purposes: Iterable[Purpose] = ("city",),
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Key:
    """A key of ours, from its 32 raw bytes. Raises Untrusted."""
    try:
        loaded = Ed25519PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise Untrusted(f"no Ed25519 key: {error}") from error
    return Key(hashlib.sha256(public).digest()[:8], loaded, not_before, not_after, frozenset(purposes))


def opened(message: bytes, root: Keys) -> bytes:
    """The document in a COSE_Sign1 that a key for documents has signed. Raises Untrusted."""
    try:
        signed = cose.read(message)
    except (cbor.BadCbor, cose.BadCose) as error:
        raise Untrusted(f"not a signed document: {error}") from error
    signature, key = root.find(signed)
    if signature != "valid" or key is None:
        raise Untrusted(f"signature: {signature}; it has to be central's, whose key this box was given")
    if key.usage("document") != "ok":
        raise Untrusted("signed by a key that is not for documents")
    return signed.payload


class ListedKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key as the trust list has it: a state's certificate, or 32 raw bytes of our own."""

    certificate: bytes | None = None
    own: bytes | None = None
    purposes: tuple[Purpose, ...] = ()
    not_before: Annotated[datetime, Meta(tz=True)] | None = None
    not_after: Annotated[datetime, Meta(tz=True)] | None = None

    def loaded(self) -> Key:
        """Raises Untrusted."""
        if self.own is not None:
            return own_key(self.own, self.purposes, not_before=self.not_before, not_after=self.not_after)
        return from_certificate(self.certificate or b"")


class TrustList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys count, as a document. A later version takes the place of an earlier one as a whole."""

    version: Annotated[int, Meta(ge=1)]
    issued_at: Annotated[datetime, Meta(tz=True)]
    keys: tuple[ListedKey, ...]

    def encoded(self) -> bytes:
        """What is to be signed."""
        return msgspec.json.encode(self)


def read_list(document: bytes) -> TrustList:
    """Raises Untrusted."""
    try:
        return msgspec.json.decode(document, type=TrustList)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Untrusted(f"trust list: {error}") from error


class Trust:
    """The trust list of a box, and the keys in it. A worse or an older one never takes its place, on disk or in use."""

    def __init__(self, path: Path, root: Keys) -> None:
        self._path = path
        self._root = root
        self.version = 0
        self.issued_at: datetime | None = None
        """Its age is on the officer's screen."""
        self.keys = Keys()
        self.skipped = 0
        """Keys of the list that cannot be used here."""
        self.fault: str | None = None
        """Why the list on disk is not in use."""
        try:
            self._use(path.read_bytes())
        except FileNotFoundError:
            self.fault = f"{path}: no trust list yet"
        except (OSError, Untrusted) as error:
            self.fault = f"{path}: {error}; it is replaced by the next one from central"

    def take(self, message: bytes) -> None:
        """A signed list from central. Raises Untrusted, or OSError when it cannot be kept; the old one then stays."""
        before = self.version, self.issued_at, self.keys, self.skipped
        self._use(message)
        try:
            keep(self._path, message)
        except OSError:
            self.version, self.issued_at, self.keys, self.skipped = before
            raise
        self.fault = None

    def _use(self, message: bytes) -> None:
        read = read_list(opened(message, self._root))
        if read.version <= self.version:
            raise Untrusted(f"trust list {read.version} is not newer than {self.version}")
        keys, skipped = [], 0
        for listed in read.keys:
            try:
                keys.append(listed.loaded())
            except Untrusted:  # one state's odd key must not close the city to all others
                skipped += 1
        self.version, self.issued_at, self.keys, self.skipped = read.version, read.issued_at, Keys(keys), skipped


def keep(path: Path, content: bytes) -> None:
    """Put the whole file in place at once, or leave the old one; it survives a power cut."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
