"""Central's secrets: the key that opens what identifies a person, the pepper that names them from then on, the key that
signs what a gate decides with, and the secret behind its snapshots.
"""

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from models.passes.packing import key_of
from models.passes.trust import Listed, TrustList, Untrusted
from models.wire.command import Answer
from models.wire.command import open_ as open_answer
from models.wire.seal import Identity, close, key_id, open_, unseal

_SECRET_BYTES = 32


class BadKey(ValueError):
    """A key file that cannot be used; the message says which and what to do."""


class Namer:
    """Names numbers: what central calls them, and what a snapshot does. Made once for many."""

    def __init__(self, pepper: bytes, outside: bytes) -> None:
        # HMAC by its definition, with the pads prepared: twice as fast as a fresh one for each number.
        padded = pepper.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self._outside = outside

    def key(self, kind: str, value: str) -> bytes:
        """HMAC-SHA256 under the pepper: it can be compared, never turned back."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"{kind}|{value}".encode())
        outer.update(inner.digest())
        return outer.digest()[:16]

    def outside(self, kind: str, value: str) -> bytes:
        return key_of(self._outside, kind, value).to_bytes(8, "big")


@dataclass(frozen=True)
class Keys:
    seal: tuple[X25519PrivateKey, ...] = field(repr=False)
    """The first is what edges seal to; what was sealed to the others still opens."""
    pepper: bytes = field(repr=False)
    sign: Ed25519PrivateKey = field(repr=False)
    passes: tuple[Ed25519PrivateKey, ...] = field(repr=False)
    """Of the city's own passes; the first one signs, the others' passes stay good until they end."""
    snapshot: bytes = field(repr=False)
    folder: Path | None = field(default=None, repr=False, compare=False)
    """Where another replica may have put a newer sealing key."""

    @property
    def public(self) -> bytes:
        """What every edge seals to."""
        return _public(self.seal[0])

    @property
    def public_text(self) -> str:
        return urlsafe_b64encode(self.public).decode().rstrip("=")

    @property
    def sign_text(self) -> str:
        """What every edge holds central's signature against."""
        return urlsafe_b64encode(self.sign.public_key().public_bytes_raw()).decode().rstrip("=")

    def countersign(self, name: str, now: datetime) -> str:
        """That we had this evidence at that time: the time and a signature over both."""
        at = now.isoformat()
        signature = self.sign.sign(f"cua-o evidence\n{name}\n{at}".encode())
        return f"{at} {urlsafe_b64encode(signature).decode().rstrip('=')}"

    @property
    def outside_secret(self) -> bytes:
        """Names numbers in the snapshots. A gate holds it too, in RAM: it does not tell the pepper."""
        return hmac.digest(self.snapshot, b"numbers", hashlib.sha256)

    def parcel(self, salt: str) -> bytes:
        """The key of one file of a snapshot."""
        return hmac.digest(self.snapshot, f"parcel|{salt}".encode(), hashlib.sha256)

    @property
    def secrets(self) -> tuple[bytes, bytes]:
        """What a Namer is made of."""
        return self.pepper, self.outside_secret

    @cached_property
    def _namer(self) -> Namer:
        return Namer(*self.secrets)

    @cached_property
    def _openers(self) -> dict[str, X25519PrivateKey]:
        return {key_id(_public(key)): key for key in self.seal}

    def _openers_of(self, sealed: str) -> dict[str, X25519PrivateKey]:
        if self.folder is not None and sealed.partition(".")[0] not in self._openers:  # made by another replica since
            self._openers.update((key_id(_public(key)), key) for key in _sealing(self.folder))
        return self._openers

    def open(self, sealed: str) -> Identity:
        """Raises Unopenable."""
        return unseal(sealed, self._openers_of(sealed))

    def close(self, text: str) -> str:
        """A secret that central keeps at rest."""
        return close(text.encode(), self.public)

    def opened(self, sealed: str) -> str:
        """Raises Unopenable."""
        return open_(sealed, self._openers_of(sealed)).decode()

    def answer(self, sealed: str) -> Answer:
        """What a box answers. Raises Unopenable."""
        return open_answer(sealed, self._openers_of(sealed))

    def key(self, kind: str, value: str) -> bytes:
        """The name under which a number is known."""
        return self._namer.key(kind, value)


def _public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _sealing(folder: Path) -> tuple[X25519PrivateKey, ...]:
    paths = (folder / "seal.key", *sorted(folder.glob("seal-*.key")))
    return tuple(X25519PrivateKey.from_private_bytes(_secret(path)) for path in paths)


def sealing_key(folder: Path) -> bytes:
    """The public key to seal to, as it is now."""
    return _public(_sealing(folder)[0])


def new_sealing_key(folder: Path) -> Path:
    """From now on edges seal to a new key, which they get with their next snapshot. Where the old one lies, which opens
    what was sealed before: keep it until no box's file names it, every backlog has come and the recipients of alarms
    were saved anew, then take it away.
    """
    kept = folder / f"seal-{key_id(sealing_key(folder))}.key"
    (folder / "seal.key").rename(kept)
    _secret(folder / "seal.key")
    return kept


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
    """Read the `.key` files, or make those that are missing. Raises BadKey.

    To change the sealing key, `central keys --new-seal`. To change the key of the passes, move `pass.key` to
    `pass-<anything>.key`; a new one is made at the next start.
    """
    return Keys(
        seal=_sealing(folder),
        pepper=_secret(folder / "pepper.key"),
        sign=Ed25519PrivateKey.from_private_bytes(_secret(folder / "sign.key")),
        passes=tuple(
            Ed25519PrivateKey.from_private_bytes(_secret(path))
            for path in (folder / "pass.key", *sorted(folder.glob("pass-*.key")))
        ),
        snapshot=_secret(folder / "snapshot.key"),
        folder=folder,
    )


def trusted(folder: Path | None, own: Sequence[Ed25519PrivateKey]) -> bytes:
    """The trust list of the gates: the certificates of states in `folder` (DER), and our own passes' keys.

    Raises BadKey.
    """
    listed = [Listed(own=key.public_key().public_bytes_raw()) for key in own]
    for path in sorted(folder.glob("*.der")) if folder else []:
        one = Listed(certificate=path.read_bytes())
        try:
            one.loaded()
        except Untrusted as error:
            raise BadKey(f"{path}: {error}; put a certificate in DER form there, or take the file away") from error
        listed.append(one)
    return TrustList(keys=tuple(listed)).encoded()
