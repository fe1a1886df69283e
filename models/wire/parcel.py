"""A file that lies encrypted on a disk and is opened into memory only.

`magic | chunks of 1 MiB, each with its tag`. ChaCha20-Poly1305 under a key of this file alone, so the nonce is the
chunk's number; the last chunk says that it is the last, so that nothing can be cut off. Its name is its SHA-256.
"""

import hashlib
import io
import shutil
import struct
from typing import Any, BinaryIO, NamedTuple

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


class Writer(io.RawIOBase):
    """Encrypts into `sink` what is written to it; whole after `finish`. The key must never serve for another file."""

    def __init__(self, sink: BinaryIO, key: bytes, *, owns: bool = False) -> None:
        """`owns`: the sink is closed with it."""
        self._sink = sink
        self._owns = owns
        self._cipher = ChaCha20Poly1305(key)
        self._digest = hashlib.sha256()
        self._size = 0
        self._number = 0
        self._waiting = bytearray()
        self._finished = False
        self._put(_MAGIC)

    def _put(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._size += len(piece)
        self._sink.write(piece)

    def _close_chunk(self, chunk: bytes, told: bytes = b"") -> None:
        self._put(self._cipher.encrypt(_NONCE.pack(self._number), chunk, told))
        self._number += 1

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        while len(self._waiting) > _CHUNK:  # one is kept back: it may be the last
            self._close_chunk(bytes(self._waiting[:_CHUNK]))
            del self._waiting[:_CHUNK]
        return len(data)

    def finish(self) -> Sealed:
        """That was all; `close` says so too."""
        if not self._finished:
            self._finished = True
            self._close_chunk(bytes(self._waiting), b"last")
        return Sealed(self._digest.hexdigest(), self._size)

    def close(self) -> None:
        if not self.closed:
            self.finish()
            if self._owns:
                self._sink.close()
        super().close()


class Reader(io.RawIOBase):
    """The plain content of a parcel, from wherever one likes; raises BadParcel where it is read."""

    def __init__(self, source: BinaryIO, key: bytes) -> None:
        self._source = source
        self._cipher = ChaCha20Poly1305(key)
        closed = source.seek(0, io.SEEK_END) - len(_MAGIC)
        source.seek(0)
        if source.read(len(_MAGIC)) != _MAGIC or closed < _TAG:
            raise BadParcel("not a parcel of this release")
        self._last = (closed - 1) // (_CHUNK + _TAG)
        self.size = closed - _TAG * (self._last + 1)
        self._at = 0
        self._open = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        number, start = divmod(self._at, _CHUNK)
        piece = self._chunk(number)[start : start + len(buffer)] if self._at < self.size else b""
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _chunk(self, number: int) -> bytes:
        if self._open[0] != number:
            self._source.seek(len(_MAGIC) + number * (_CHUNK + _TAG))
            closed, told = self._source.read(_CHUNK + _TAG), b"last" if number == self._last else b""
            try:
                self._open = (number, self._cipher.decrypt(_NONCE.pack(number), closed, told))
            except InvalidTag:
                raise BadParcel("damaged, cut off, or closed with another key") from None
        return self._open[1]

    def whole(self) -> bytearray:
        """All of it, checked to its end."""
        plain = bytearray()
        for number in range(self._last + 1):
            plain += self._chunk(number)
        return plain

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def wrap(plain: BinaryIO, sink: BinaryIO, key: bytes) -> Sealed:
    """Encrypt all of `plain`. The key must never serve for another file."""
    writer = Writer(sink, key)
    shutil.copyfileobj(plain, writer, _CHUNK)
    return writer.finish()


def unwrap(source: BinaryIO, key: bytes) -> bytearray:
    """The whole plain content. Raises BadParcel."""
    return Reader(source, key).whole()
