"""What a lens at a distance makes of a code: pixels a module, and whether that is enough. Pure arithmetic.

A flat symbol that faces the camera, a lens without distortion; `lens_degrees` is the horizontal angle of view.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Verdict = Literal["readable", "marginal", "unreadable"]

READABLE_PX = 1.8
"""Pixels a module from which our reader gets three of four well lit pictures, so a film of a third of a second is
enough (measured on simulated cards and certificates: 0.73 at 1.75, 0.89 at 2, 1.0 above 3)."""
MARGINAL_PX = 1.25
"""From here on it gets some pictures: who holds still for a few seconds is read."""
HAND_M_PER_S = 0.25
"""How fast a code moves that somebody believes to hold still."""
_SLOWEST_S = 1 / 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A code as people hold it up. `modules` are those of the largest version in use, without the quiet zone."""

    side_mm: float
    modules: int

    @property
    def module_mm(self) -> float:
        return self.side_mm / self.modules


SYMBOLS: Mapping[str, Symbol] = MappingProxyType(
    {
        "personal": Symbol(side_mm=50, modules=41),  # a phone's screen, version 6
        "city": Symbol(side_mm=50, modules=53),  # version 9
        "hcert": Symbol(side_mm=50, modules=89),  # version 18
        "bhyt": Symbol(side_mm=22, modules=69),  # printed on the card, version 13
        "cccd": Symbol(side_mm=11, modules=45),  # printed on the card, version 7
        "venue": Symbol(side_mm=100, modules=33),  # a poster, version 4
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A camera and where a code is held before it."""

    width_px: int
    lens_degrees: float
    distance_m: float

    def __post_init__(self) -> None:
        if self.width_px <= 0 or not 0 < self.lens_degrees < 180 or self.distance_m <= 0:
            raise ValueError("width and distance must be above 0, the lens between 0 and 180 degrees")

    @property
    def px_per_mm(self) -> float:
        return self.width_px / (2000 * self.distance_m * math.tan(math.radians(self.lens_degrees) / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What is to be expected of one kind of code in one view, and what to change."""

    kind: str
    px_per_module: float
    verdict: Verdict
    farthest_m: float
    """Up to here it is readable with this lens."""
    widest_degrees: float
    """Up to this angle it is readable at this distance."""
    longest_exposure_s: float
    """Above it, a hand's trembling smears more than a module."""


def prospect(kind: str, view: View) -> Prospect:
    """Raises KeyError for a kind that is not in SYMBOLS."""
    symbol = SYMBOLS[kind]
    px = symbol.module_mm * view.px_per_mm
    verdict: Verdict = "readable" if px >= READABLE_PX else "marginal" if px >= MARGINAL_PX else "unreadable"
    half_width = view.width_px * symbol.module_mm / (2000 * READABLE_PX)
    return Prospect(
        kind=kind,
        px_per_module=px,
        verdict=verdict,
        farthest_m=half_width / math.tan(math.radians(view.lens_degrees) / 2),
        widest_degrees=2 * math.degrees(math.atan(half_width / view.distance_m)),
        longest_exposure_s=min(_SLOWEST_S, symbol.module_mm / 1000 / HAND_M_PER_S),
    )
