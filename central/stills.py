"""The newest picture of each camera that boxes bring. RAM only: overwritten by the next, forgotten soon."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_BYTES = 512 * 1024
MOST = 4096
"""Cameras whose picture is kept; of more, the one that was brought longest ago goes."""
FORGOTTEN = timedelta(minutes=15)
_AHEAD = timedelta(minutes=5)


class Refused(ValueError):
    """What was sent is no picture that is shown; the message says why."""


@dataclass(frozen=True)
class Still:
    jpeg: bytes
    taken_at: datetime
    """The box's claim; never later than it came."""


class Stills:
    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], Still] = OrderedDict()

    def put(self, camera: tuple[str, str, str], jpeg: bytes, taken_at: datetime, now: datetime) -> None:
        """`camera` is site, box and camera. Raises Refused."""
        if not jpeg.startswith(b"\xff\xd8\xff"):
            raise Refused("no JPEG")
        if taken_at > now + _AHEAD:
            raise Refused("taken in the future; set the box's clock")
        held = self._kept.pop(camera, None)
        if held is not None and held.taken_at > taken_at:
            self._kept[camera] = held  # they came in another order than they were taken
            return
        self._kept[camera] = Still(jpeg, min(taken_at, now))
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def get(self, camera: tuple[str, str, str], now: datetime) -> Still | None:
        held = self._kept.get(camera)
        if held is not None and now - held.taken_at > FORGOTTEN:
            del self._kept[camera]
            return None
        return held
