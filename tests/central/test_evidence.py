import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.evidence import MAX_BYTES, Evidence, Refused, TooLarge


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
