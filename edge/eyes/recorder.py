"""What a camera sent in the last seconds, as it came; a clip is cut from it without encoding anything."""

import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

PRE_ROLL_SECONDS = 12.0
MOST_BYTES = 32 << 20
"""Of one camera: a stream of 20 Mbit/s still keeps its twelve seconds."""


@dataclass(frozen=True)
class Film:
    """What all packets of one connection have in common."""

    codec: str
    extradata: bytes
    time_base: Fraction


class Unit(NamedTuple):
    """One packet of video, as it came."""

    film: Film
    arrived_s: float
    pts: int | None
    dts: int | None
    key: bool
    data: bytes


class Reel:
    """The ring: whole groups of pictures, so that whatever is cut from it begins at a key frame."""

    def __init__(self, *, seconds: float = PRE_ROLL_SECONDS, most_bytes: int = MOST_BYTES) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._groups: deque[list[Unit]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, unit: Unit) -> None:
        """The next packet. Until the first key frame there is nothing to keep."""
        with self._lock:
            if unit.key:
                self._groups.append([])
            if not self._groups:
                return
            self._groups[-1].append(unit)
            self._bytes += len(unit.data)
            # a group may go once the one after it reaches back far enough
            while len(self._groups) > 1 and (
                self._groups[1][0].arrived_s <= unit.arrived_s - self._seconds or self._bytes > self._most_bytes
            ):
                self._bytes -= sum(len(old.data) for old in self._groups.popleft())
            if self._bytes > self._most_bytes:  # one group alone is too much: what is left of it is no clip
                self._groups.clear()
                self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def cut(self, since_s: float, until_s: float) -> list[Unit]:
        """From the last key frame at or before `since_s` on, of the newest connection alone."""
        with self._lock:
            groups = [list(group) for group in self._groups]
        while len(groups) > 1 and groups[1][0].arrived_s <= since_s:
            groups.pop(0)
        units = [unit for group in groups for unit in group if unit.arrived_s <= until_s]
        return [unit for unit in units if unit.film is units[-1].film]
