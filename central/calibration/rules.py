"""One number for a camera's zone, from a few counts by eye. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

ENOUGH = 3
"""Counts by eye before a scale is offered."""
LEAST_BODIES = 10
"""Counted in all of them: fewer say nothing of a factor."""
LEAST, MOST = 0.2, 5.0
"""A camera that is further off is not calibrated but moved."""
_STRANGE = 2.5
"""A count that is this many times off what the others say is a slip of the pen."""


class Unfit(ValueError):
    """`crowd.<key>` of the catalogue says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def fit(pairs: Sequence[tuple[float, int]]) -> float | None:
    """From (counted at scale one, seen by eye): the likeliest factor, without what contradicts all others. None until
    there is enough to say one.
    """
    ratios = [seen / counted for counted, seen in pairs if counted > 0 and seen > 0]
    middle = median(ratios) if ratios else 1.0
    kept = [
        (counted, seen)
        for counted, seen in pairs
        if counted <= 0 or seen <= 0 or middle / _STRANGE <= seen / counted <= middle * _STRANGE
    ]
    total = sum(counted for counted, _ in kept)
    if len(kept) < ENOUGH or total < LEAST_BODIES:
        return None
    return round(min(max(sum(seen for _, seen in kept) / total, LEAST), MOST), 2)


def scale_of(document: Mapping[str, Any], camera: str, zone: str) -> float:
    """What the box multiplies this zone's counts by now. Raises Unfit."""
    return float(_zone(document, camera, zone).get("scale", 1.0))


def with_scale(document: Mapping[str, Any], camera: str, zone: str, scale: float) -> dict[str, Any]:
    """The box's file with one zone's scale changed. Raises Unfit."""
    _zone(document, camera, zone)
    cameras = [
        one
        if one["id"] != camera
        else dict(one) | {"zones": [dict(z) | ({"scale": scale} if z["id"] == zone else {}) for z in one["zones"]]}
        for one in document["cameras"]
    ]
    return dict(document) | {"cameras": cameras}


def _zone(document: Mapping[str, Any], camera: str, zone: str) -> Mapping[str, Any]:
    for one in document["cameras"]:
        for known in one.get("zones", ()) if one["id"] == camera else ():
            if known["id"] == zone:
                found: Mapping[str, Any] = known
                return found
    raise Unfit("no_zone")
