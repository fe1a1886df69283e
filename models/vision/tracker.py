"""Who is who from one picture to the next: arrays, seconds and body heights, no fixed picture rate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Way = Callable[[Ints, Floats], tuple[Ints, Ints]]
"""Rows of tracks and boxes that go together."""


@dataclass(frozen=True, kw_only=True)
class Track:
    id: int
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels; where it is expected while it is not seen."""
    seen: bool
    last_s: float
    """Stream time at which it was last seen."""
    score: float = 1.0
    """How sure the detector was, then."""

    @property
    def foot(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, self.box[3]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def overlap(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box of `a` with every box of `b`."""
    wide = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    tall = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    common = np.maximum(wide, 0.0) * np.maximum(tall, 0.0)
    areas_a, areas_b = ((c[:, 2] - c[:, 0]) * (c[:, 3] - c[:, 1]) for c in (a, b))
    shares: Floats = common / np.maximum(areas_a[:, None] + areas_b[None, :] - common, 1e-9)
    return shares


def best_pairs(score: Floats, least: float) -> tuple[Ints, Ints]:
    """Rows and columns that go together, best first, each once. Ties go to the older row, so that runs repeat."""
    rows, columns = np.nonzero(score >= least)
    order = np.lexsort((columns, rows, -score[rows, columns]))
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    found = np.array(pairs, np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


class Tracker:
    """One camera's tracks. First by overlap with where a track is expected, sure boxes before unsure ones, then by
    distance in body heights: overlap is right in a crowd, distance rescues what moves fast.

    Each track carries a Kalman filter of its middle (constant speed, shaken by `SHAKE`), all of them as arrays. How
    sure a filter is of its place is measured in body heights and seconds, so that no picture rate is built in.
    """

    UNSURE = 0.4
    """Boxes below this share of a sure one's score are nothing at all."""
    CONFIRM_HITS = 2
    OVERLAP, UNSURE_OVERLAP = 0.3, 0.5
    REACH_HEIGHTS = 0.4
    """How far from its expected place a body may be found again by distance alone."""
    FORGET_S, FORGET_YOUNG_S, UNSURE_S = 2.0, 0.35, 0.5
    """Without a sighting a track lives so long; before it is confirmed; and so long it takes unsure boxes."""
    SHAKE = 0.5
    """Body heights a second squared: how much people change their pace."""
    ERROR = 0.06
    """Body heights: how far a box is off."""
    SIZE_GAIN = 0.5
    SLOW = 0.6
    """A body out of sight slows down to this share of its speed in a second: it does not run on for ever."""

    def __init__(self, *, sure: float = 0.5, most: int = 200) -> None:
        """Boxes with a score below `sure` only continue a track, they never begin one."""
        self._sure, self._most = sure, most
        self._next = 1
        self._now = 0.0
        self.refused = 0
        """Bodies that found no room among the `most` tracks."""
        self._ids: Ints = np.zeros(0, np.int64)
        self._middle: Floats = np.zeros((0, 2))
        self._speed: Floats = np.zeros((0, 2))
        self._size: Floats = np.zeros((0, 2))
        self._doubt: Floats = np.zeros((0, 3))
        """Variance of the place, covariance, variance of the speed; in body heights, the same along x and y."""
        self._seen: Floats = np.zeros((0, 4))
        self._last: Floats = np.zeros(0)
        self._hits: Ints = np.zeros(0, np.int64)
        self._scores: Floats = np.zeros(0)

    def update(self, boxes: Floats, scores: Floats, stream_s: float) -> list[Track]:
        """Every confirmed track, also those not seen in this picture, until they are forgotten."""
        self._predict(max(stream_s - self._now, 0.0), stream_s)
        sure = np.flatnonzero(scores >= self._sure)
        unsure = np.flatnonzero((scores < self._sure) & (scores >= self.UNSURE * self._sure))
        confirmed = self._hits >= self.CONFIRM_HITS
        young = np.flatnonzero(~confirmed)
        known, sure = self._match(np.flatnonzero(confirmed), sure, boxes, scores, self._overlaps)
        lately = self._now - self._last[known] <= self.UNSURE_S
        left, _ = self._match(known[lately], unsure, boxes, scores, self._surely_overlaps)
        young, sure = self._match(young, sure, boxes, scores, self._overlaps)
        free = np.sort(np.concatenate([left, known[~lately], young]))
        _, sure = self._match(free, sure, boxes, scores, self._nearness)
        self._forget()
        self._begin(boxes[sure], scores[sure])
        return self._tracks()

    def _predict(self, passed: float, now: float) -> None:
        self._now = now
        lost = now - self._last > self.UNSURE_S
        self._speed *= np.where(lost, self.SLOW**passed, 1.0)[:, None]
        self._middle += self._speed * passed
        place, both, speed = self._doubt.T
        shake = self.SHAKE**2
        self._doubt = np.column_stack(
            [
                place + passed * (2 * both + passed * speed) + shake * passed**4 / 4,
                both + passed * speed + shake * passed**3 / 2,
                speed + shake * passed**2,
            ]
        )

    def _expected(self, rows: Ints) -> Floats:
        middle, half = self._middle[rows], self._size[rows] / 2
        return np.concatenate([middle - half, middle + half], axis=1)

    def _match(self, tracks: Ints, some: Ints, boxes: Floats, scores: Floats, way: Way) -> tuple[Ints, Ints]:
        """Correct what goes together; the tracks and the boxes that are left."""
        if not len(tracks) or not len(some):
            return tracks, some
        rows, columns = way(tracks, boxes[some])
        self._correct(tracks[rows], boxes[some[columns]], scores[some[columns]])
        return np.delete(tracks, rows), np.delete(some, columns)

    def _overlaps(self, rows: Ints, boxes: Floats) -> tuple[Ints, Ints]:
        return best_pairs(overlap(self._expected(rows), boxes), self.OVERLAP)

    def _surely_overlaps(self, rows: Ints, boxes: Floats) -> tuple[Ints, Ints]:
        return best_pairs(overlap(self._expected(rows), boxes), self.UNSURE_OVERLAP)

    def _nearness(self, rows: Ints, boxes: Floats) -> tuple[Ints, Ints]:
        mine = self._expected(rows)
        tall, other = mine[:, 3] - mine[:, 1], boxes[:, 3] - boxes[:, 1]
        aside = (mine[:, None, 0] + mine[:, None, 2] - boxes[None, :, 0] - boxes[None, :, 2]) / 2
        apart = np.hypot(aside, mine[:, None, 3] - boxes[None, :, 3])
        # A track of one sighting has no speed yet: it may be anywhere within a stride.
        reach = tall * np.where(self._hits[rows] < 2, self.REACH_HEIGHTS + 1.0, self.REACH_HEIGHTS)
        alike = np.minimum(tall[:, None], other) / np.maximum(np.maximum(tall[:, None], other), 1e-9)
        return best_pairs(np.where(alike >= 0.6, 1.0 - apart / np.maximum(reach, 1e-9)[:, None], -1.0), 0.0)

    def _correct(self, rows: Ints, boxes: Floats, scores: Floats) -> None:
        middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        place, both, speed = self._doubt[rows].T
        gain, pull = place / (place + self.ERROR**2), both / (place + self.ERROR**2)
        error = middle - self._middle[rows]
        self._middle[rows] += gain[:, None] * error
        self._speed[rows] += pull[:, None] * error
        self._doubt[rows] = np.column_stack([place * (1 - gain), both * (1 - gain), speed - pull * both])
        self._size[rows] += self.SIZE_GAIN * (size - self._size[rows])
        self._seen[rows] = boxes
        self._last[rows] = self._now
        self._hits[rows] += 1
        self._scores[rows] = scores

    def _forget(self) -> None:
        unseen = self._now - self._last
        kept = unseen <= np.where(self._hits < self.CONFIRM_HITS, self.FORGET_YOUNG_S, self.FORGET_S)
        if not kept.all():
            self._ids, self._middle, self._speed = self._ids[kept], self._middle[kept], self._speed[kept]
            self._size, self._doubt, self._seen = self._size[kept], self._doubt[kept], self._seen[kept]
            self._last, self._hits, self._scores = self._last[kept], self._hits[kept], self._scores[kept]

    def _begin(self, boxes: Floats, scores: Floats) -> None:
        room = max(self._most - len(self._ids), 0)
        self.refused += max(len(boxes) - room, 0)
        boxes, scores = boxes[:room], scores[:room]
        count = len(boxes)
        if not count:
            return
        self._ids = np.concatenate([self._ids, np.arange(self._next, self._next + count)])
        self._next += count
        self._middle = np.concatenate([self._middle, (boxes[:, :2] + boxes[:, 2:]) / 2])
        self._size = np.concatenate([self._size, boxes[:, 2:] - boxes[:, :2]])
        self._speed = np.concatenate([self._speed, np.zeros((count, 2))])
        # Nobody knows yet how fast it is: up to a height and a half a second.
        self._doubt = np.concatenate([self._doubt, np.tile([self.ERROR**2, 0.0, 2.0], (count, 1))])
        self._seen = np.concatenate([self._seen, boxes])
        self._last = np.concatenate([self._last, np.full(count, self._now)])
        self._hits = np.concatenate([self._hits, np.ones(count, np.int64)])
        self._scores = np.concatenate([self._scores, scores])

    def _tracks(self) -> list[Track]:
        """A seen body is where it was seen: the filter is for finding it again."""
        known = np.flatnonzero(self._hits >= self.CONFIRM_HITS)
        here = self._last[known] == self._now
        boxes = np.where(here[:, None], self._seen[known], self._expected(known))
        columns = (self._ids[known], boxes, here, self._last[known], self._scores[known])
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            Track(id=id_, box=tuple(box), seen=seen, last_s=last, score=score) for id_, box, seen, last, score in rows
        ]
