"""The box's own signature under its evidence. The key is made at the first start and never leaves the box."""

import os
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


class Signer:
    def __init__(self, path: Path) -> None:
        """Raises ValueError for a file that is no key."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            self._key = Ed25519PrivateKey.from_private_bytes(path.read_bytes())
        else:
            self._key = Ed25519PrivateKey.generate()
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._key.private_bytes_raw())
                file.flush()
                os.fsync(file.fileno())
        self.public = _text(self._key.public_key().public_bytes_raw())
        """As manifests name it."""

    def sign(self, content: bytes) -> str:
        return _text(self._key.sign(content))
