"""Who is who from one picture to the next: arrays, seconds and body heights, no fixed picture rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0.0, None), axis=2)
    areas = np.prod(a[:, 2:] - a[:, :2], axis=1)[:, None] + np.prod(b[:, 2:] - b[:, :2], axis=1)[None, :]
    shares: Floats = common / np.maximum(areas - common, 1e-9)
    return shares


def best_pairs(score: Floats, least: float) -> list[tuple[int, int]]:
    """Pairs (row, column), best first, each row and column once. Ties go to the older row, so that runs repeat."""
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
    return pairs


class Tracker:
    """One camera's tracks. First by overlap with where a track is expected, then by distance in body heights: overlap
    is right in a crowd, distance rescues what moves fast.
    """

    SURE = 0.5
    """Boxes below this only continue a track, they never begin one."""
    CONFIRM_HITS = 3
    OVERLAP = 0.2
    REACH_HEIGHTS = 0.6
    """How far from its expected place a body may be found again; a second unseen adds as much."""
    FORGET_S = 2.0
    SMOOTH = 0.6
    """Share of a new measurement in the position; its square goes to the speed."""

    def __init__(self, *, most: int = 200) -> None:
        self._most = most
        self._next = 1
        self._now = 0.0
        self.refused = 0
        """Bodies that found no room among the `most` tracks."""
        self._ids: Ints = np.zeros(0, np.int64)
        self._boxes: Floats = np.zeros((0, 4))
        self._speed: Floats = np.zeros((0, 2))
        self._last: Floats = np.zeros(0)
        self._hits: Ints = np.zeros(0, np.int64)

    def update(self, boxes: Floats, scores: Floats, stream_s: float) -> list[Track]:
        """Every confirmed track, also those not seen in this picture, until they are forgotten."""
        passed = max(stream_s - self._now, 0.0)
        self._now = stream_s
        # A body out of sight slows down: it does not run on for ever on an old speed.
        self._speed *= np.where(stream_s - self._last > 0.5, 0.5**passed, 1.0)[:, None]
        self._boxes += np.tile(self._speed, 2) * passed
        keep = np.flatnonzero(stream_s - self._last <= self.FORGET_S)
        self._take(keep)
        free_tracks, free_boxes = np.arange(len(self._ids)), np.arange(len(boxes))
        for stage in (self._overlaps, self._nearness):
            for sure in (True, False):
                some = free_boxes[(scores[free_boxes] >= self.SURE) == sure]
                if not len(free_tracks) or not len(some):
                    continue
                pairs = stage(free_tracks, boxes[some])
                rows = free_tracks[[row for row, _ in pairs]]
                columns = some[[column for _, column in pairs]]
                self._correct(rows, boxes[columns])
                free_tracks, free_boxes = np.setdiff1d(free_tracks, rows), np.setdiff1d(free_boxes, columns)
        self._drop_unconfirmed(free_tracks)
        self._begin(boxes[free_boxes[scores[free_boxes] >= self.SURE]])
        return self._tracks()

    def _overlaps(self, rows: Ints, boxes: Floats) -> list[tuple[int, int]]:
        return best_pairs(overlap(self._boxes[rows], boxes), self.OVERLAP)

    def _nearness(self, rows: Ints, boxes: Floats) -> list[tuple[int, int]]:
        mine = self._boxes[rows]
        tall, other = mine[:, 3] - mine[:, 1], boxes[:, 3] - boxes[:, 1]
        apart = np.linalg.norm(
            (mine[:, None, :2] + mine[:, None, 2:]) / 2 - (boxes[None, :, :2] + boxes[None, :, 2:]) / 2, axis=2
        )
        unseen_s = self._now - self._last[rows]
        # A track of one sighting has no speed yet: it may be anywhere within a stride.
        young = np.where(self._hits[rows] < 2, 1.0, 0.0)
        reach = tall * (self.REACH_HEIGHTS * (1.0 + np.minimum(unseen_s, 1.0)) + young)
        alike = np.minimum(tall[:, None], other[None, :]) / np.maximum(np.maximum(tall[:, None], other[None, :]), 1e-9)
        closeness = np.where(alike >= 0.5, 1.0 - apart / np.maximum(reach, 1e-9)[:, None], -1.0)
        return best_pairs(closeness, 0.0)

    def _correct(self, rows: Ints, boxes: Floats) -> None:
        since = np.maximum(self._now - self._last[rows], 1e-3)[:, None]
        young = (self._hits[rows] < 2)[:, None]
        error = (boxes[:, :2] + boxes[:, 2:]) / 2 - (self._boxes[rows, :2] + self._boxes[rows, 2:]) / 2
        gain = np.where(young, 1.0, self.SMOOTH)
        self._speed[rows] += np.where(young, 1.0, self.SMOOTH**2) * error / since
        self._boxes[rows] += gain * (boxes - self._boxes[rows])
        self._last[rows] = self._now
        self._hits[rows] += 1

    def _drop_unconfirmed(self, unseen: Ints) -> None:
        """A track that was never confirmed and is not seen now for half a second was noise."""
        noise = unseen[(self._hits[unseen] < self.CONFIRM_HITS) & (self._now - self._last[unseen] > 0.5)]
        self._take(np.setdiff1d(np.arange(len(self._ids)), noise))

    def _begin(self, boxes: Floats) -> None:
        room = max(self._most - len(self._ids), 0)
        self.refused += max(len(boxes) - room, 0)
        boxes = boxes[:room]
        count = len(boxes)
        self._ids = np.concatenate([self._ids, np.arange(self._next, self._next + count)])
        self._next += count
        self._boxes = np.concatenate([self._boxes, boxes])
        self._speed = np.concatenate([self._speed, np.zeros((count, 2))])
        self._last = np.concatenate([self._last, np.full(count, self._now)])
        self._hits = np.concatenate([self._hits, np.ones(count, np.int64)])

    def _take(self, rows: Ints) -> None:
        self._ids, self._boxes, self._speed = self._ids[rows], self._boxes[rows], self._speed[rows]
        self._last, self._hits = self._last[rows], self._hits[rows]

    def _tracks(self) -> list[Track]:
        sure = np.flatnonzero(self._hits >= self.CONFIRM_HITS)
        rows = zip(self._ids[sure].tolist(), self._boxes[sure].tolist(), self._last[sure].tolist(), strict=True)
        return [Track(id=id_, box=tuple(box), seen=last == self._now, last_s=last) for id_, box, last in rows]
