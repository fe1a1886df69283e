"""A file that lies encrypted on a box's disk and is opened into memory only.

`magic | chunks of 1 MiB, each with its tag`. ChaCha20-Poly1305 under a key of this file alone, so the nonce is the
chunk's number; the last chunk says that it is the last, so that nothing can be cut off. Its name is its SHA-256.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_MAGIC = b"CUAO-E1\0"
_CHUNK = 1 << 20
_TAG = 16
_NONCE = struct.Struct("<Q4x")


class BadParcel(ValueError):
    """Not a parcel, damaged, or closed with another key."""


class Sealed(NamedTuple):
    sha256: str
    size: int


def wrap(plain: BinaryIO, sink: BinaryIO, key: bytes) -> Sealed:
    """Encrypt all of `plain`. The key must never serve for another file."""
    cipher, digest, size = ChaCha20Poly1305(key), hashlib.sha256(), 0

    def put(piece: bytes) -> None:
        nonlocal size
        digest.update(piece)
        size += len(piece)
        sink.write(piece)

    put(_MAGIC)
    number, chunk = 0, plain.read(_CHUNK)
    while True:
        following = plain.read(_CHUNK)
        put(cipher.encrypt(_NONCE.pack(number), chunk, b"" if following else b"last"))
        if not following:
            return Sealed(digest.hexdigest(), size)
        number, chunk = number + 1, following


def unwrap(source: BinaryIO, key: bytes) -> bytearray:
    """The whole plain content. Raises BadParcel."""
    if source.read(len(_MAGIC)) != _MAGIC:
        raise BadParcel("not a parcel of this release")
    plain, cipher = bytearray(), ChaCha20Poly1305(key)
    try:
        for number, (chunk, last) in enumerate(_chunks(source)):
            plain += cipher.decrypt(_NONCE.pack(number), chunk, b"last" if last else b"")
    except InvalidTag:
        raise BadParcel("damaged, cut off, or closed with another key") from None
    return plain


def _chunks(source: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    chunk = source.read(_CHUNK + _TAG)
    while True:
        following = source.read(_CHUNK + _TAG)
        yield chunk, not following
        if not following:
            return
        chunk = following
