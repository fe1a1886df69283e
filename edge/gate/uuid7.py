"""Ids that sort by the time they were made (RFC 9562, version 7); Python 3.11 has none."""

import secrets
import time
from uuid import UUID


def uuid7(now_ns: int | None = None) -> str:
    """48 bits of milliseconds, 74 random ones."""
    milliseconds = (time.time_ns() if now_ns is None else now_ns) // 1_000_000 & (1 << 48) - 1
    high = milliseconds << 16 | 7 << 12 | secrets.randbits(12)
    return str(UUID(int=high << 64 | 2 << 62 | secrets.randbits(62)))
