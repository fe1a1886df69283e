"""Which codes were taken back: the first 8 bytes of SHA-256 of a code's id, sorted.

A million of them are 8 MB, found in a microsecond and exactly; a Bloom filter would send honest people to the officer.
"""

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from models.passes import cbor

_HASH_BYTES = 8


class BadRevocations(ValueError):
    """A list or a delta that cannot be used; the message says why."""


def hash_of(code_id: str) -> bytes:
    return hashlib.sha256(code_id.encode("utf-8", "surrogatepass")).digest()[:_HASH_BYTES]


@dataclass(frozen=True, slots=True)
class Revocations:
    version: int = 0
    hashes: "array[int]" = field(default_factory=lambda: array("Q"), repr=False)
    """Sorted."""

    def holds(self, code_id: str) -> bool:
        if not code_id or not self.hashes:
            return False
        sought = int.from_bytes(hash_of(code_id), "big")
        at = bisect_left(self.hashes, sought)
        return at < len(self.hashes) and self.hashes[at] == sought

    def updated(self, document: bytes) -> "Revocations":
        """With a list, or a delta to this very version, taken in. Raises BadRevocations."""
        base, version, add, remove = _read(document)
        if version <= self.version:
            raise BadRevocations(f"version {version} is not newer than {self.version}")
        if base == 0:
            return Revocations(version, add)
        if base != self.version:
            raise BadRevocations(f"a delta from {base}, but {self.version} is here; ask for the whole list")
        gone = set(remove)
        merged = [one for one in self.hashes if one not in gone] if gone else list(self.hashes)
        merged += add
        merged.sort()  # two sorted runs: one pass
        return Revocations(version, array("Q", merged))


NONE_REVOKED = Revocations()


def whole(version: int, code_ids: Iterable[str]) -> bytes:
    """The document of a whole list, to be signed."""
    return _write(0, version, code_ids, ())


def delta(base: int, version: int, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> bytes:
    """The document of what changed since `base`, to be signed."""
    if not 0 < base < version:
        raise ValueError("a delta goes from a version to a later one")
    return _write(base, version, add, remove)


def _write(base: int, version: int, add: Iterable[str], remove: Iterable[str]) -> bytes:
    packed = [b"".join(sorted({hash_of(one) for one in ids})) for ids in (add, remove)]
    return cbor.encode([base, version, *packed])


def _read(document: bytes) -> "tuple[int, int, array[int], array[int]]":
    try:
        read: Any = cbor.decode(document)
    except cbor.BadCbor as error:
        raise BadRevocations(f"not a list: {error}") from error
    match read:
        case [int() as base, int() as version, bytes() as add, bytes() as remove]:
            return base, version, _hashes(add), _hashes(remove)
    raise BadRevocations("not base, version, added and removed")


def _hashes(packed: bytes) -> "array[int]":
    if len(packed) % _HASH_BYTES:
        raise BadRevocations("cut off")
    hashes = array("Q", packed)
    if sys.byteorder == "little":
        hashes.byteswap()
    if any(hashes[at] >= hashes[at + 1] for at in range(len(hashes) - 1)):
        raise BadRevocations("not sorted")
    return hashes
