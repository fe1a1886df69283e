import asyncio
import hashlib
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from central.evidence import MAX_BYTES, Evidence, OutOfStep, Refused, TooLarge


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_what_was_put_can_be_opened_by_its_hash(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = hashlib.sha256(b"ab").hexdigest()
    asyncio.run(evidence.put(name, chunks(b"a", b"b")))
    path = evidence.path(name)
    assert path is not None
    assert path.read_bytes() == b"ab"


@pytest.mark.parametrize("name", ["../central.db", "a" * 63, "A" * 64, "..%2f" + "a" * 59, "a" * 64 + "\n", ""])
def test_a_name_that_is_no_hash_is_refused(tmp_path: Path, name: str) -> None:
    evidence = Evidence(tmp_path)
    assert evidence.path(name) is None
    with pytest.raises(Refused):
        asyncio.run(evidence.put(name, chunks(b"x")))


def test_content_of_another_hash_or_without_end_leaves_nothing(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    with pytest.raises(Refused):
        asyncio.run(evidence.put("a" * 64, chunks(b"x")))
    with pytest.raises(TooLarge):
        asyncio.run(evidence.put("a" * 64, chunks(bytes(MAX_BYTES), b"x")))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_comes_in_parts_is_kept_once_it_is_whole(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    name = hashlib.sha256(b"abcd").hexdigest()
    assert asyncio.run(evidence.append(name, 0, 4, chunks(b"a", b"b"))) == 2
    assert (evidence.offset(name), evidence.path(name)) == (2, None)
    with pytest.raises(OutOfStep) as out:
        asyncio.run(evidence.append(name, 0, 4, chunks(b"ab")))
    assert out.value.offset == 2
    assert asyncio.run(evidence.append(name, 2, 4, chunks(b"cd"))) == 4
    path = evidence.path(name)
    assert path is not None
    assert path.read_bytes() == b"abcd"
    assert evidence.offset(name) == 0


def test_parts_that_make_another_content_leave_nothing(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    with pytest.raises(Refused):
        asyncio.run(evidence.append("a" * 64, 0, 1, chunks(b"x")))
    with pytest.raises(TooLarge):
        asyncio.run(evidence.append("a" * 64, 0, 1, chunks(b"xy")))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def kept(evidence: Evidence, content: bytes) -> str:
    name = hashlib.sha256(content).hexdigest()
    asyncio.run(evidence.put(name, chunks(content)))
    return name


def manifest(key: Ed25519PrivateKey, **told: str) -> bytes:
    """As a box writes it."""
    public = urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    unsigned = json.dumps(told | {"signer": public, "signature": ""}, separators=(",", ":")).encode()
    signature = urlsafe_b64encode(key.sign(unsigned)).decode().rstrip("=")
    return unsigned.replace(b'"signature":""', f'"signature":"{signature}"'.encode())


def test_a_film_is_found_by_the_manifest_that_it_follows_when_the_same_box_signed_both(tmp_path: Path) -> None:
    evidence, box, thief = Evidence(tmp_path), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    picture, film = kept(evidence, b"picture"), kept(evidence, b"film")
    first = kept(evidence, manifest(box, event="e1", snapshot=picture))
    assert evidence.filmed(first) is None
    kept(evidence, manifest(thief, event="e1", snapshot=picture, clip=film, follows=first))
    assert evidence.filmed(first) is None
    second = kept(evidence, manifest(box, event="e1", snapshot=picture, clip=film, follows=first))
    assert evidence.filmed(first) == second
    assert evidence.clip(second) == evidence.path(film)


def test_what_is_too_old_goes_and_nothing_else_does(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    now = datetime.now(UTC)
    names = [hashlib.sha256(content).hexdigest() for content in (b"old", b"new")]
    for name, content in zip(names, (b"old", b"new"), strict=True):
        asyncio.run(evidence.put(name, chunks(content)))
    old = evidence.path(names[0])
    assert old is not None
    os.utime(old, (0, (now - timedelta(days=31)).timestamp()))
    assert evidence.purge(now - timedelta(days=30)) == (1, 0)
    assert [evidence.path(name) is None for name in names] == [True, False]
    assert evidence.purge(now - timedelta(days=30)) == (0, 0)
