"""What a span of a zone holds. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Span:
    """A minute or an hour of one zone: the means of what was told, and the bounds of it."""

    began: datetime
    looks: int
    bodies: float
    most: int
    low: int
    high: int
    density: float | None
    flow_in: float | None
    flow_out: float | None


Zone = tuple[str, str, str, str]
"""Site, box, camera, zone."""
