"""Who leaves a zone: distances in body heights, a band around the line, a hold in seconds.

A zone has a good side: inside of `stay-inside`, outside of `keep-out`, the left hand of an `exit-line` as it is drawn.
Per (track, zone): outside -> entering -> inside -> leaving -> left, where "inside" means the good side.
One exit, one incident: it opens, it may become certain, it ends when the body is back or out of sight.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.vision.tracker import Track

Floats = NDArray[np.float64]
Kind = Literal["stay-inside", "keep-out", "exit-line"]
State = Literal["outside", "entering", "inside", "leaving", "left"]
Certainty = Literal["left", "probable"]
Phase = Literal["open", "update", "close"]
EndReason = Literal["returned", "lost", "ended"]
Box = tuple[float, float, float, float]
Foot = tuple[float, float]


def _to_sides(corners: Floats, points: Floats, *, closed: bool) -> tuple[Floats, Floats, Floats]:
    """Starts and ends of the sides, and the distance of each point (rows) to each side (columns)."""
    starts = corners if closed else corners[:-1]
    ends = np.roll(corners, -1, axis=0) if closed else corners[1:]
    along = ends - starts
    length = np.maximum(np.sum(along * along, axis=1), 1e-12)
    share = np.clip(np.sum((points[:, None] - starts[None]) * along[None], axis=2) / length, 0.0, 1.0)
    nearest = starts[None] + share[..., None] * along[None]
    return starts, ends, np.linalg.norm(points[:, None] - nearest, axis=2)


def signed_distance(polygon: Floats, points: Floats) -> Floats:
    """Pixels from each point to the polygon's outline; positive inside, negative outside."""
    starts, ends, apart = _to_sides(polygon, points, closed=True)
    y = points[:, 1, None]
    crosses = (starts[None, :, 1] > y) != (ends[None, :, 1] > y)
    rise = ends[:, 1] - starts[:, 1]
    x_there = starts[:, 0] + (y - starts[:, 1]) * (ends[:, 0] - starts[:, 0]) / np.where(rise == 0.0, 1.0, rise)
    inside = np.sum(crosses & (points[:, 0, None] < x_there), axis=1) % 2 == 1
    nearest: Floats = apart.min(axis=1)
    signed: Floats = np.where(inside, nearest, -nearest)
    return signed


def signed_side(line: Floats, points: Floats) -> Floats:
    """Pixels from each point to the line; positive on its left hand, walking from the first corner to the last."""
    starts, ends, apart = _to_sides(line, points, closed=False)
    row = np.arange(len(points))
    side = apart.argmin(axis=1)
    along, to = ends[side] - starts[side], points - starts[side]
    # y grows downwards, so the left hand has the negative cross product.
    left = along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0] <= 0.0
    signed: Floats = np.where(left, apart[row, side], -apart[row, side])
    return signed


@dataclass(frozen=True, kw_only=True)
class Fence:
    """One zone in pixels of its camera."""

    id: str
    kind: Kind
    corners: tuple[Foot, ...]
    band_heights: float
    hold_seconds: float

    def good_side(self, feet: Floats) -> Floats:
        corners = np.array(self.corners, dtype=np.float64)
        if self.kind == "exit-line":
            return signed_side(corners, feet)
        inside = signed_distance(corners, feet)
        return inside if self.kind == "stay-inside" else -inside


@dataclass(frozen=True, kw_only=True)
class Exit:
    """One body left the good side. `box` and `foot` are pixels at `left_at`. Told again, what is new of it is another
    phase; the rest stays.
    """

    zone: str
    track: int
    count: int
    """How many exits this zone has told, this one included."""
    box: Box
    foot: Foot
    left_at: float
    reported_at: float
    """When it was told; of a close, when it ended: the body was back, or was seen for the last time."""
    certainty: Certainty
    beyond: float
    """How far beyond the line, in body heights, when it was told."""
    shown: Box | None
    """Where the body is in the picture in which it is told; None when it is not in it."""
    phase: Phase = "open"
    end_reason: EndReason | None = None


@dataclass
class _Memory:
    """What is known of one track in one zone."""

    state: State
    since: float
    last: deque[float] = field(default_factory=lambda: deque(maxlen=3))
    good_since: float = -math.inf
    """Since when it is on the good side, or was before it crossed the line."""
    crossed_at: float = 0.0
    box: Box = (0.0, 0.0, 0.0, 0.0)
    foot: Foot = (0.0, 0.0)
    here: Foot = (0.0, 0.0)
    distance: float = 0.0
    tall: deque[float] = field(default_factory=lambda: deque(maxlen=15))
    """Its last heights in pixels."""
    last_s: float = 0.0
    heights: float = 0.0
    """Median of the last distances to the line, in body heights."""
    told: Exit | None = None
    """Its exit, while that goes on."""


class ZoneWatch:
    """The state machine of every track in one zone. Feed every picture's tracks in order."""

    ENTER_S = 0.5
    FORGET_S = 5.0
    STALE_S = 0.5
    """Unseen for longer, where it was says nothing of where it is."""
    WHOLE = 0.75
    """A box lower than this share of what is usual has its legs hidden."""
    LOST_S = (0.1, 2.5)
    """A track that was not seen for so long may be the body that appears beside it under a new name."""
    BESIDE_HEIGHTS, RUN_HEIGHTS = 0.5, 1.5
    """How far beside: this, and what is run in a second."""

    def __init__(self, fence: Fence, *, height_px: tuple[float, float]) -> None:
        """`height_px`: least and greatest height that a body can have; a box outside of it does not move the line."""
        self._fence = fence
        self._height_px = height_px
        self._known: dict[int, _Memory] = {}
        self._told = 0

    def state(self, track: int) -> State | None:
        known = self._known.get(track)
        return known.state if known else None

    @property
    def outside(self) -> list[tuple[Exit, float]]:
        """Exits that go on, and when their bodies were seen last."""
        return [(memory.told, memory.last_s) for memory in self._known.values() if memory.told is not None]

    def end(self) -> list[Exit]:
        """The zone is guarded no longer: what goes on ends with what was seen last."""
        known, self._known = self._known, {}
        return [exit_ for memory in known.values() for exit_ in self._close(memory, memory.last_s, "ended")]

    def see(self, tracks: Sequence[Track], stream_s: float) -> list[Exit]:
        here = [track for track in tracks if track.seen]
        exits = []
        if here:
            low, high = self._height_px
            tall = np.clip([track.height for track in here], low, high)
            feet = [self._stands(track) for track in here]
            heights = self._fence.good_side(np.array(feet, dtype=np.float64)) / tall
            for track, foot, distance, height in zip(here, feet, heights.tolist(), tall.tolist(), strict=True):
                memory = self._known.get(track.id) or self._first(track, foot, distance, height, stream_s)
                self._known[track.id] = memory
                exits += self._step(memory, track, foot, distance, stream_s)
        exits += self._lost({track.id for track in here}, stream_s)
        return exits

    def _stands(self, track: Track) -> Foot:
        """Its foot; below its head by its usual height where something hides its legs."""
        memory = self._known.get(track.id)
        if memory is None or len(memory.tall) < 5:
            return track.foot
        usual = sorted(memory.tall)[len(memory.tall) // 2]
        return track.foot if track.height >= self.WHOLE * usual else (track.foot[0], track.box[1] + usual)

    def _first(self, track: Track, foot: Foot, distance: float, height: float, now: float) -> _Memory:
        """A body seen for the first time: the one that was lost beside it, or a new one."""
        x, y = foot
        best: tuple[float, int] | None = None
        for id_, memory in self._known.items():
            apart = float(np.hypot(memory.here[0] - x, memory.here[1] - y)) / height
            lost_s = now - memory.last_s
            near = apart <= self.BESIDE_HEIGHTS + self.RUN_HEIGHTS * lost_s
            if near and self.LOST_S[0] <= lost_s <= self.LOST_S[1]:
                best = min(best or (apart, id_), (apart, id_))
        if best:
            return self._known.pop(best[1])
        if self._fence.kind == "keep-out":  # whoever appears in a forbidden place came there somehow
            return _Memory(state="inside", since=now, crossed_at=now, box=track.box, foot=foot)
        state: State = "entering" if distance >= 0.0 else "outside"
        return _Memory(state=state, since=now)

    def _step(self, memory: _Memory, track: Track, foot: Foot, distance: float, now: float) -> list[Exit]:
        was_good = memory.heights >= 0.0 and bool(memory.last)
        if memory.last and now - memory.last_s > self.STALE_S:
            memory.last.clear()
        before, before_s = memory.distance, memory.last_s
        memory.last.append(distance)
        memory.tall.append(track.height)
        memory.heights = sorted(memory.last)[len(memory.last) // 2]
        good = memory.heights >= 0.0
        if was_good and not good and now - memory.good_since >= self.ENTER_S:
            # Between two sightings it is taken to have walked straight.
            share = min(max(before / (before - distance), 0.0), 1.0) if before > distance else 1.0
            x, y = memory.here
            memory.foot = x + share * (foot[0] - x), y + share * (foot[1] - y)
            memory.crossed_at = before_s + share * (now - before_s)
            half = (track.box[2] - track.box[0]) / 2
            memory.box = memory.foot[0] - half, memory.foot[1] - track.height, memory.foot[0] + half, memory.foot[1]
        elif good and not was_good:
            memory.good_since = now  # a step back over the line for less than that is no return
        memory.here, memory.distance, memory.last_s = foot, distance, now
        beyond = memory.heights < -self._fence.band_heights
        if memory.state in {"outside", "left"} and good:
            memory.state, memory.since = "entering", now
        elif memory.state == "entering" and not good:
            memory.state = "outside"
        elif memory.state == "entering" and now - memory.since >= self.ENTER_S:
            memory.state = "inside"
            return self._close(memory, now, "returned")
        elif memory.state == "inside" and beyond:
            memory.state, memory.since = "leaving", now
        elif memory.state == "leaving" and not beyond:
            memory.state = "inside"
        if memory.state == "leaving" and now - memory.since >= self._fence.hold_seconds:
            return [self._tell(memory, track.id, now, "left", track.box)]
        return self._ascertain(memory, track, now) if beyond else []

    def _ascertain(self, memory: _Memory, track: Track, now: float) -> list[Exit]:
        """Whoever was lost at the line and is seen beyond it has left for certain."""
        told = memory.told
        if told is None or told.certainty == "left" or len(memory.last) < 3:
            return []
        memory.told = replace(told, phase="update", certainty="left", reported_at=now, shown=track.box)
        return [memory.told]

    def _lost(self, seen: set[int], now: float) -> list[Exit]:
        """Lost beyond the line, or in its band: it has probably left. Lost deep inside is no breach."""
        exits = []
        for id_, memory in list(self._known.items()):
            if id_ in seen:
                continue
            unseen_s = now - memory.last_s
            at_the_line = memory.state == "leaving" or (memory.state == "inside" and memory.heights < 0.0)
            if at_the_line and unseen_s > self._fence.hold_seconds:
                exits.append(self._tell(memory, id_, now, "probable", None))
            if unseen_s > max(self.FORGET_S, 2.0 * self._fence.hold_seconds):
                exits += self._close(memory, memory.last_s, "lost")
                del self._known[id_]
        return exits

    def _close(self, memory: _Memory, ended_s: float, reason: EndReason) -> list[Exit]:
        told, memory.told = memory.told, None
        if told is None:
            return []
        return [replace(told, phase="close", end_reason=reason, reported_at=ended_s, shown=None)]

    def _tell(self, memory: _Memory, track: int, now: float, certainty: Certainty, shown: Box | None) -> Exit:
        memory.state, memory.since = "left", now
        self._told += 1
        memory.told = Exit(
            zone=self._fence.id,
            track=track,
            count=self._told,
            box=memory.box,
            foot=memory.foot,
            left_at=memory.crossed_at,
            reported_at=now,
            certainty=certainty,
            beyond=max(-memory.heights, 0.0),
            shown=shown,
        )
        return memory.told
