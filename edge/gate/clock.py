"""How far the wall clock may be believed."""

import ctypes
from datetime import UTC, datetime
from typing import Literal

_UNSYNCHRONISED = 0x40
_BUILT = datetime(2021, 1, 1, tzinfo=UTC)


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _kernel_is_synchronised() -> bool:
    timex = _Timex()
    ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    return not timex.status & _UNSYNCHRONISED


def claim(now: datetime, *, synchronised: bool | None = None) -> Literal["synced", "holdover", "unset"]:
    """What an event may say of its `time`. A box that woke with an empty battery lives in 1970: unset."""
    if now < _BUILT:
        return "unset"
    return "synced" if (_kernel_is_synchronised() if synchronised is None else synchronised) else "holdover"
