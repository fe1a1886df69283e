"""What a gate decides with when nobody can be asked: which files, their keys, and central's signature over it all.

A box shows the public key of its boot and gets a document for itself alone: the files' keys are sealed to that key, so
neither the broker, nor whoever copies a disk, can open what lies there.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta, Struct

_ABOUT = b"cua-o snapshot v1\0"
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Untrusted(ValueError):
    """A document that central has not signed, or not for this box; the message says which."""


class Part(Struct, frozen=True, kw_only=True):
    """One file: encrypted, named by its content. A reader leaves out a kind that it does not know."""

    kind: str
    """base, delta (newer lines of the same residents, read first), officers, …"""
    sha256: Sha256
    size: Annotated[int, Meta(ge=0)]


class Snapshot(Struct, frozen=True, kw_only=True):
    site: str
    edge: str
    as_of: datetime
    """Everything that central knew then is in it: the age of an answer counts from here."""
    parts: tuple[Part, ...]
    policies: tuple[Sha256, ...] = ()
    """What is in force and what comes, each a file of its own with a signature of its own."""
    sealed: str
    """`Opening`, closed to the public key that the box showed."""

    @property
    def version(self) -> str:
        return version_of([part.sha256 for part in self.parts], self.policies)


def version_of(parts: Sequence[str], policies: Sequence[str]) -> str:
    """Names what a snapshot holds; its moment is no part of it."""
    return hashlib.sha256("|".join([*sorted(parts), "", *sorted(policies)]).encode()).hexdigest()[:16]


class Opening(Struct, frozen=True, kw_only=True):
    """What opens the parts. In RAM only."""

    secret: bytes
    """Names numbers in the packed residents."""
    keys: dict[Sha256, bytes]


class Signed(Struct, frozen=True, kw_only=True):
    body: bytes
    """A Snapshot, as JSON."""
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    algorithm: Literal["Ed25519"] = "Ed25519"


class Officer(Struct, frozen=True, kw_only=True):
    """Who may decide otherwise than the gate, also without the network. It lies in an encrypted part only."""

    name: str
    salt: bytes
    hash: bytes
    places: tuple[str, ...] = ()
    """Posts at which this counts; none: all."""


def pin_hash(pin: str, salt: bytes) -> bytes:
    """Slow on purpose: a PIN has few digits."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=32)


def sign(snapshot: Snapshot, key: Ed25519PrivateKey) -> bytes:
    body = msgspec.json.encode(snapshot)
    return msgspec.json.encode(Signed(body=body, signature=key.sign(_ABOUT + body)))


def verify(document: bytes, key: Ed25519PublicKey, *, site: str, edge: str) -> Snapshot:
    """Raises Untrusted."""
    try:
        signed = msgspec.json.decode(document, type=Signed)
        key.verify(signed.signature, _ABOUT + signed.body)
        told = msgspec.json.decode(signed.body, type=Snapshot)
    except InvalidSignature:
        raise Untrusted("not signed by central's key; is `sign_key` what `python -m central keys` prints?") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Untrusted(f"not a signed snapshot: {error}") from error
    if (told.site, told.edge) != (site, edge):
        raise Untrusted(f"made for {told.site}/{told.edge}, not for this box")
    return told
