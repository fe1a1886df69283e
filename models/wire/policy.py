"""A policy on its way to a gate: the document that its id is the hash of, and central's signature over it."""

import hashlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from models.wire.snapshot import Signed, Untrusted

_ABOUT = b"cua-o policy v1\0"


def sign(document: bytes, key: Ed25519PrivateKey) -> bytes:
    return msgspec.json.encode(Signed(body=document, signature=key.sign(_ABOUT + document)))


def verify(signed: bytes, key: Ed25519PublicKey, *, sha256: str) -> bytes:
    """The document. Raises Untrusted."""
    try:
        told = msgspec.json.decode(signed, type=Signed)
        key.verify(told.signature, _ABOUT + told.body)
    except InvalidSignature:
        raise Untrusted(f"policy {sha256[:12]}: not signed by central's key") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Untrusted(f"policy {sha256[:12]}: not a signed policy: {error}") from error
    if hashlib.sha256(told.body).hexdigest() != sha256:
        raise Untrusted(f"policy {sha256[:12]}: it is another one")
    return told.body
