"""Which camera is really looked through. Pure."""

from dataclasses import dataclass
from datetime import datetime

WATCHING = frozenset({"live"})
"""The states of a camera in which its picture is looked at."""


@dataclass(frozen=True, kw_only=True)
class CameraRow:
    site: str
    edge: str
    camera: str
    state: str
    reason: str
    watch: str
    mode: str
    at: datetime
    seen: bool
    """False whenever we cannot vouch for it: its box is offline, or it is not live."""


@dataclass(frozen=True, kw_only=True)
class EdgeRow:
    site: str
    edge: str
    boot: str
    state: str
    at: datetime
    skew: float | None
    waiting: int | None
    version: str | None

    @property
    def online(self) -> bool:
        return self.state == "online"


def seen(camera_state: str, edge_state: str | None) -> bool:
    """A camera counts as watched only when its box says so and is there to say it."""
    return edge_state == "online" and camera_state in WATCHING


def outdated(state: str, boot: str, known_boot: str | None) -> bool:
    """A last will of an earlier boot that arrives after the new birth says nothing of today."""
    return state == "offline" and known_boot is not None and boot != known_boot
