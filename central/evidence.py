"""Evidence by content: a folder in which a file's name is its SHA-256. It can be put and opened, never changed."""

import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from msgspec import Struct

MAX_BYTES = 16 * 1024 * 1024
_NAME = re.compile(r"[0-9a-f]{64}")


class Refused(ValueError):
    """What was sent is not what its name says, or too much; the message says which."""


class TooLarge(Refused):
    pass


class Manifest(Struct, frozen=True):
    """What belongs to one event; later parts are ignored here."""

    snapshot: str


class Evidence:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path | None:
        """The file of this name when it is there. A name that is no SHA-256 is no file of ours."""
        if not _NAME.fullmatch(name):
            return None
        path = self._folder / name[:2] / name
        return path if path.is_file() else None

    def snapshot(self, manifest: str) -> Path | None:
        """The picture that a manifest tells of, once both have arrived."""
        path = self.path(manifest)
        if path is None:
            return None
        try:
            return self.path(msgspec.json.decode(path.read_bytes(), type=Manifest).snapshot)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep it, whole or not at all. Raises Refused."""
        if not _NAME.fullmatch(name):
            raise Refused("the name is no SHA-256 in lower-case hex")
        if self.path(name) is not None:
            return
        digest, size = hashlib.sha256(), 0
        descriptor, partial = tempfile.mkstemp(dir=self._folder, prefix="partial-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise TooLarge(f"more than {MAX_BYTES} bytes")
                    digest.update(chunk)
                    file.write(chunk)
                if digest.hexdigest() != name:
                    raise Refused("the content has another SHA-256 than its name")
                file.flush()
                os.fsync(file.fileno())
            folder = self._folder / name[:2]
            folder.mkdir(exist_ok=True)
            os.replace(partial, folder / name)  # noqa: PTH105  (the same as Path.replace, beside os.fsync)
        finally:
            Path(partial).unlink(missing_ok=True)  # noqa: ASYNC240  (as the writes above: a local disk)


def media_type(head: bytes) -> str:
    """Only what we know ourselves: a browser is never left to guess."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "application/json" if head[:1] == b"{" else "application/octet-stream"
