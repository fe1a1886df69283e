"""When a street is warned of, and what may be answered. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

CROWDED = 3
"""The level from which a district is warned."""


class State(StrEnum):
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    TOLD = "told"
    """VOV Giao thông has it."""
    DISMISSED = "dismissed"


MOVES: Mapping[State, frozenset[State]] = {
    State.SENT: frozenset({State.ACKNOWLEDGED, State.TOLD, State.DISMISSED}),
    State.ACKNOWLEDGED: frozenset({State.TOLD, State.DISMISSED}),
    State.TOLD: frozenset({State.DISMISSED}),
    State.DISMISSED: frozenset(),
}


def sources(state: State) -> tuple[State, ...]:
    """The states from which one may come to this."""
    return tuple(before for before, after in MOVES.items() if state in after)


def level_of(told: Iterable[int | None]) -> int | None:
    """A street's level from those of its zones: the worst that is seen; below a warning only when all of it is seen."""
    levels = list(told)
    seen = [level for level in levels if level is not None]
    worst = max(seen, default=None)
    return worst if worst is not None and (worst >= CROWDED or len(seen) == len(levels)) else None


@dataclass(frozen=True, kw_only=True)
class Warned:
    """What a district was told of one of its streets."""

    id: int
    street: str
    district: str
    level: int
    first_at: datetime
    state: str
    by: str | None
    by_at: datetime | None
    note: str | None


# ---- the wall

A_PAGE = 48
"""Tiles on one page of the wall: more pictures at a time nobody looks at."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Which part of the wall somebody looks at. As words it names a topic of the stream."""

    page: int = 1
    district: str = ""

    def __str__(self) -> str:
        return f"{self.page}.{quote(self.district, safe='')}"


def view_of(words: str) -> View:
    """Whatever a reader wrote; what cannot be read is the first page of the whole city."""
    page, _, district = words.partition(".")
    return View(
        page=int(page) if page.isascii() and page.isdigit() and int(page[:6]) > 0 else 1, district=unquote(district)
    )


@dataclass(frozen=True, kw_only=True)
class District:
    """A district in a line: its worst level that is seen, and how many of its zones are what."""

    name: str
    level: int | None
    zones: int
    crowded: int
    unseen: int
    """Counting is paused there, or nobody sees it."""


def districts(told: Iterable[tuple[str, int | None, bool]]) -> list[District]:
    """From (district, level, seen) of each zone. The fullest first."""
    by_name: dict[str, list[tuple[int | None, bool]]] = defaultdict(list)
    for name, level, seen in told:
        by_name[name].append((level, seen))
    found = []
    for name, zones in by_name.items():
        levels = [level for level, seen in zones if level is not None and seen]
        crowded = sum(level >= CROWDED for level in levels)
        worst = max(levels, default=None)
        found.append(
            District(name=name, level=worst, zones=len(zones), crowded=crowded, unseen=len(zones) - len(levels))
        )
    return sorted(found, key=lambda one: (-1 if one.level is None else -one.level, -one.crowded, one.name))


def trend(now: float | None, before: float | None) -> int:
    """1 it fills, -1 it empties, 0 neither or unknown: by a quarter and by two bodies at least."""
    if now is None or before is None or abs(now - before) < max(2.0, 0.25 * before):
        return 0
    return 1 if now > before else -1


# ---- the map

Ring = list[tuple[float, float]]
_WIDE = 1000.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A district or a street as SVG draws it; a line is not filled."""

    name: str
    path: str
    at: tuple[float, float]
    """Where its name may stand."""
    district: bool
    owner: str
    """The district that it belongs to, or is."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The city's map: nothing but what was imported, without any tile of a stranger's."""

    height: float = 0.0
    shapes: tuple[Shape, ...] = ()


def rings(geometry: Mapping[str, Any] | None) -> list[Ring]:
    """The lines of a GeoJSON geometry, outer ones of polygons; what is no geometry has none."""
    found: list[Ring] = []

    def walk(part: Any) -> None:
        if isinstance(part, list) and part and all(isinstance(p, list) and len(p) >= 2 and _is_place(p) for p in part):
            found.append([(float(p[0]), float(p[1])) for p in part])
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    told = (geometry or {}).get("coordinates")
    if isinstance(told, list) and len(told) >= 2 and _is_place(told):
        return [[(float(told[0]), float(told[1]))]]
    walk(told)
    return found


def _is_place(point: Sequence[Any]) -> bool:
    x, y = point[0], point[1]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (x, y))
    return numbers and -180 <= x <= 180 and -85 <= y <= 85


def hull(points: Iterable[tuple[float, float]]) -> Ring:
    """The convex hull, counter-clockwise: what a district looks like of which only streets are known."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def half(order: Iterable[tuple[float, float]]) -> Ring:
        chain: Ring = []
        for x, y in order:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return half(ordered) + half(reversed(ordered))


def plan(
    streets: Sequence[tuple[str, str, Mapping[str, Any] | None]], outlines: Mapping[str, Mapping[str, Any]]
) -> Plan:
    """From (street, district, geometry) and the districts whose outline was imported."""
    lines = [(name, owner, rings(geometry)) for name, owner, geometry in streets]
    areas = {name: rings(geometry) for name, geometry in outlines.items()}
    by_owner: dict[str, Ring] = defaultdict(list)
    for _, owner, parts in lines:
        by_owner[owner] += [point for ring in parts for point in ring]
    for owner, points in by_owner.items():
        areas.setdefault(owner, [hull(points)] if points else [])
    every = [
        point for parts in [*areas.values(), *(parts for _, _, parts in lines)] for ring in parts for point in ring
    ]
    if not every:
        return Plan()
    west, north = min(x for x, _ in every), max(y for _, y in every)
    squeeze = math.cos(math.radians(sum(y for _, y in every) / len(every)))
    extent = max((max(x for x, _ in every) - west) * squeeze, north - min(y for _, y in every), 1e-4)
    scale = (_WIDE - 80) / extent

    def on_paper(point: tuple[float, float]) -> tuple[float, float]:
        return round(40 + (point[0] - west) * squeeze * scale, 1), round(40 + (north - point[1]) * scale, 1)

    def shape(name: str, owner: str, parts: list[Ring], *, district: bool) -> Shape:
        drawn = [[on_paper(point) for point in ring] for ring in parts if ring]
        path = " ".join(
            "M" + " ".join(f"{x} {y}" for x, y in ring) + ("z" if district or len(ring) < 2 else "") for ring in drawn
        )
        points = [point for ring in drawn for point in ring]
        middle = (round(sum(x for x, _ in points) / len(points), 1), round(sum(y for _, y in points) / len(points), 1))
        return Shape(name=name, path=path, at=middle, district=district, owner=owner)

    shapes = [shape(name, name, parts, district=True) for name, parts in sorted(areas.items()) if any(parts)]
    shapes += [shape(name, owner, parts, district=False) for name, owner, parts in lines if any(parts)]
    lowest = max(on_paper(point)[1] for point in every)
    return Plan(height=round(lowest + 40, 1), shapes=tuple(shapes))
