"""Central's secrets: the key that opens what identifies a person, the pepper that names them from then on, the key that
signs what a gate decides with, and the secret behind its snapshots.
"""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from models.passes.packing import key_of
from models.wire.seal import Identity, key_id, unseal

_SECRET_BYTES = 32


class BadKey(ValueError):
    """A key file that cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class Keys:
    seal: X25519PrivateKey = field(repr=False)
    pepper: bytes = field(repr=False)
    sign: Ed25519PrivateKey = field(repr=False)
    snapshot: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        """What every edge seals to."""
        return self.seal.public_key().public_bytes_raw()

    @property
    def public_text(self) -> str:
        return urlsafe_b64encode(self.public).decode().rstrip("=")

    @property
    def sign_text(self) -> str:
        """What every edge holds central's signature against."""
        return urlsafe_b64encode(self.sign.public_key().public_bytes_raw()).decode().rstrip("=")

    @property
    def outside_secret(self) -> bytes:
        """Names numbers in the snapshots. A gate holds it too, in RAM: it does not tell the pepper."""
        return hmac.digest(self.snapshot, b"numbers", hashlib.sha256)

    def parcel(self, salt: str) -> bytes:
        """The key of one file of a snapshot."""
        return hmac.digest(self.snapshot, f"parcel|{salt}".encode(), hashlib.sha256)

    def outside(self, kind: str, value: str) -> bytes:
        """The name of a number in the snapshots."""
        return key_of(self.outside_secret, kind, value).to_bytes(8, "big")

    def open(self, sealed: str) -> Identity:
        """Raises Unopenable."""
        return unseal(sealed, {key_id(self.public): self.seal})

    def key(self, kind: str, value: str) -> bytes:
        """The name under which a number is known: it can be compared, never turned back."""
        return hmac.digest(self.pepper, f"{kind}|{value}".encode(), hashlib.sha256)[:16]


def _secret(path: Path) -> bytes:
    """The file's 32 bytes; made on the first start, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) != _SECRET_BYTES:
            raise BadKey(f"{path}: {len(secret)} bytes instead of {_SECRET_BYTES}; put the saved copy back") from None
        return secret
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(_SECRET_BYTES)
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return secret


def load(folder: Path) -> Keys:
    """Read the `.key` files, or make those that are missing. Raises BadKey."""
    return Keys(
        seal=X25519PrivateKey.from_private_bytes(_secret(folder / "seal.key")),
        pepper=_secret(folder / "pepper.key"),
        sign=Ed25519PrivateKey.from_private_bytes(_secret(folder / "sign.key")),
        snapshot=_secret(folder / "snapshot.key"),
    )
