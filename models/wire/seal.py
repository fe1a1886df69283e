"""What identifies a person, closed to everybody but central.

X25519 + HKDF-SHA256 + ChaCha20-Poly1305: a sealed box is `<key id>.<base64url of ephemeral public key + ciphertext>`.
The ephemeral key is fresh for every box, so the nonce may be constant.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import UNSET, Struct, UnsetType

_NONCE = bytes(12)
_PUBLIC_BYTES = 32


class Unopenable(ValueError):
    """A sealed box that no key of ours opens; the message says why."""


class Identity(Struct, frozen=True, kw_only=True):
    """Who a code says its holder is. Never at rest and never on the wire but sealed."""

    ids: tuple[tuple[str, str], ...]
    """(kind, value), best first: qid, cccd, cmnd, passport, bhyt, phone."""
    name: str | UnsetType = UNSET
    birth: str | UnsetType = UNSET
    """ISO date, or only its year."""
    sex: str | UnsetType = UNSET


def key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:8]


def _box(shared: bytes, ephemeral: bytes, recipient: bytes) -> ChaCha20Poly1305:
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=ephemeral + recipient, info=b"cua-o seal v1").derive(shared)
    return ChaCha20Poly1305(key)


def seal(identity: Identity, recipient: bytes, *, ephemeral: bytes | None = None) -> str:
    """Seal to a raw 32-byte X25519 public key. `ephemeral` is given only by replay, which must be byte-identical."""
    return close(msgspec.json.encode(identity), recipient, ephemeral=ephemeral)


def close(plain: bytes, recipient: bytes, *, ephemeral: bytes | None = None) -> str:
    """As `seal`, any bytes."""
    mine = X25519PrivateKey.from_private_bytes(ephemeral) if ephemeral else X25519PrivateKey.generate()
    public = mine.public_key().public_bytes_raw()
    shared = mine.exchange(X25519PublicKey.from_public_bytes(recipient))
    ciphertext = _box(shared, public, recipient).encrypt(_NONCE, plain, None)
    return f"{key_id(recipient)}.{urlsafe_b64encode(public + ciphertext).decode()}"


def unseal(sealed: str, keys: Mapping[str, X25519PrivateKey]) -> Identity:
    """Open with the key that the box names (key id -> private key). Raises Unopenable."""
    try:
        return msgspec.json.decode(open_(sealed, keys), type=Identity)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unopenable(f"sealed box is damaged: {type(error).__name__}") from error


def open_(sealed: str, keys: Mapping[str, X25519PrivateKey]) -> bytes:
    """As `unseal`, any bytes. Raises Unopenable."""
    kid, _, body = sealed.partition(".")
    key = keys.get(kid)
    if key is None:
        raise Unopenable(f"sealed to key {kid[:16]!r}, which is not ours")
    try:
        raw = urlsafe_b64decode(body.encode())
        public, ciphertext = raw[:_PUBLIC_BYTES], raw[_PUBLIC_BYTES:]
        shared = key.exchange(X25519PublicKey.from_public_bytes(public))
        return _box(shared, public, key.public_key().public_bytes_raw()).decrypt(_NONCE, ciphertext, None)
    except (ValueError, InvalidTag) as error:
        raise Unopenable(f"sealed box is damaged: {type(error).__name__}") from error
