"""Evidence by content: a folder in which a file's name is its SHA-256. It can be put and opened, never changed."""

import hashlib
import os
import re
import tempfile
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

MAX_BYTES = 64 * 1024 * 1024
KEPT_SECONDS = 2 * 24 * 3600
"""A half that nobody has continued for so long is given up."""
_MANIFEST_BYTES = 64 * 1024
_NAME = re.compile(r"[0-9a-f]{64}")


class Refused(ValueError):
    """What was sent is not what its name says, or too much; the message says which."""


class TooLarge(Refused):
    pass


class OutOfStep(Refused):
    """Another part than the next one; `offset` is where it begins."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the next part begins at byte {offset}")
        self.offset = offset


class Manifest(Struct, frozen=True):
    """What belongs to one event, as far as it is looked at here."""

    snapshot: str
    event: str = ""
    clip: str = ""
    follows: str = ""
    signer: str = ""
    signature: str = ""


def _is_signed(raw: bytes, manifest: Manifest) -> bool:
    """Whether the box that it names has signed this very text."""
    unsigned = raw.replace(f'"signature":"{manifest.signature}"'.encode(), b'"signature":""')
    try:
        key = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(manifest.signer + "="))
        key.verify(urlsafe_b64decode(manifest.signature + "=="), unsigned)
    except (ValueError, InvalidSignature):
        return False
    return True


class Evidence:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for part in (folder, folder / "partial", folder / "follows"):
            part.mkdir(parents=True, exist_ok=True)
        for half in (folder / "partial").iterdir():
            if time.time() - half.stat().st_mtime > KEPT_SECONDS:
                half.unlink()

    def path(self, name: str) -> Path | None:
        """The file of this name when it is there. A name that is no SHA-256 is no file of ours."""
        if not _NAME.fullmatch(name):
            return None
        path = self._folder / name[:2] / name
        return path if path.is_file() else None

    def snapshot(self, manifest: str) -> Path | None:
        """The picture that a manifest tells of, once both have arrived."""
        found = self._manifest(manifest)
        return None if found is None else self.path(found[0].snapshot)

    def filmed(self, manifest: str) -> str | None:
        """The name of the manifest that completes this one with a film, once it and the film have arrived. It counts
        only when the same box has signed both.
        """
        link = self._folder / "follows" / manifest
        first = self._manifest(manifest)
        if first is None or not link.is_file():
            return None
        name = link.read_text()
        second = self._manifest(name)
        if second is None or self.path(second[0].clip) is None:
            return None
        same = (first[0].signer, first[0].event) == (second[0].signer, second[0].event)
        return name if same and _is_signed(second[1], second[0]) else None

    def first(self, manifest: str) -> str:
        """The manifest that an alert knows: this one, or the one that it completes."""
        found = self._manifest(manifest)
        return manifest if found is None or not found[0].follows else found[0].follows

    def clip(self, manifest: str) -> Path | None:
        """The film of a manifest that has one."""
        found = self._manifest(manifest)
        return None if found is None else self.path(found[0].clip)

    def _manifest(self, name: str) -> tuple[Manifest, bytes] | None:
        path = self.path(name)
        if path is None or path.stat().st_size > _MANIFEST_BYTES:
            return None
        raw = path.read_bytes()
        try:
            return msgspec.json.decode(raw, type=Manifest), raw
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
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
            self._settle(Path(partial), name)
        finally:
            Path(partial).unlink(missing_ok=True)  # noqa: ASYNC240  (as the writes above: a local disk)

    def signed(self, manifest: str) -> bool:
        """Whether the manifest carries a box's signature over its very text."""
        found = self._manifest(manifest)
        return found is not None and _is_signed(found[1], found[0])

    def purge(self, before: datetime) -> tuple[int, int]:
        """Delete what came before then: how many files went, and how many of them are still there."""
        old = [path for path in self._folder.rglob("*") if path.is_file() and _came(path) < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old), sum(path.exists() for path in old)

    def offset(self, name: str) -> int:
        """How much of it has come so far."""
        half = self._folder / "partial" / name
        return half.stat().st_size if _NAME.fullmatch(name) and half.is_file() else 0

    async def append(self, name: str, start: int, total: int, chunks: AsyncIterator[bytes]) -> int:
        """The next part; how much there is now. At `total` it is kept, whole or not at all. Raises Refused."""
        if not _NAME.fullmatch(name):
            raise Refused("the name is no SHA-256 in lower-case hex")
        if total > MAX_BYTES:
            raise TooLarge(f"more than {MAX_BYTES} bytes")
        if self.path(name) is not None:
            return total
        part = b"".join([chunk async for chunk in _at_most(chunks, total)])
        half = self._folder / "partial" / name
        with half.open("ab") as file:
            if file.tell() != start:
                raise OutOfStep(file.tell())
            file.write(part)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if size < total:
            return size
        try:
            with half.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != name:
                    raise Refused("the content has another SHA-256 than its name")
            self._settle(half, name)
        finally:
            half.unlink(missing_ok=True)
        return total

    def _settle(self, whole: Path, name: str) -> None:
        """Under its name, and found by the manifest that it completes."""
        folder = self._folder / name[:2]
        folder.mkdir(exist_ok=True)
        whole.replace(folder / name)
        found = self._manifest(name)
        if found is not None and _NAME.fullmatch(found[0].follows):
            link = self._folder / "follows" / found[0].follows
            half = link.with_suffix(f".{name[:8]}")
            half.write_text(name)
            half.replace(link)


def _came(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:  # another central was quicker
        return datetime.now(UTC)


async def _at_most(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise TooLarge("more than was announced")
        yield chunk


def media_type(head: bytes) -> str:
    """Only what we know ourselves: a browser is never left to guess."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    return "application/json" if head[:1] == b"{" else "application/octet-stream"
