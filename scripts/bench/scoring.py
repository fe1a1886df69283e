"""How well boxes, tracks and breaches agree with a truth: AP50, HOTA, IDF1, MOTA, and exits that were hit."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.vision.tracker import Track, overlap
from models.vision.zones import signed_distance

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """Rows of a MOT file, by frame: ids, (left, top, right, bottom), scores."""

    ids: NDArray[np.int64]
    boxes: Floats
    scores: Floats


NONE = Boxes(np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))
Frames = Mapping[int, Boxes]


def read_mot(path: Path) -> Frames:
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    return frames_of(rows.reshape(-1, rows.shape[1] if rows.size else 7))


def frames_of(rows: Floats) -> Frames:
    """Columns: frame, id, left, top, width, height, score, …"""
    found = {}
    for frame in np.unique(rows[:, 0]).astype(int).tolist():
        here = rows[rows[:, 0] == frame]
        boxes = np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1)
        found[frame] = Boxes(here[:, 1].astype(np.int64), boxes, here[:, 6])
    return found


def told_of(tracks: Sequence[Track]) -> Boxes:
    """Those who are seen."""
    here = [track for track in tracks if track.seen]
    boxes = np.array([track.box for track in here], dtype=np.float64).reshape(-1, 4)
    return Boxes(np.array([track.id for track in here], np.int64), boxes, np.ones(len(here)))


def average_precision(truth: Frames, found: Frames) -> tuple[float, float]:
    """AP at an overlap of a half (all-point; greedy by score), and the score at which F1 is best."""
    rows = [(score, frame, i) for frame, here in found.items() for i, score in enumerate(here.scores.tolist())]
    rows.sort(key=lambda row: -row[0])
    free = {frame: np.ones(len(here.boxes), np.bool_) for frame, here in truth.items()}
    shares = {frame: overlap(here.boxes, truth.get(frame, NONE).boxes) for frame, here in found.items()}
    hits = np.zeros(len(rows))
    for n, (_, frame, i) in enumerate(rows):
        if frame not in free or not free[frame].size:
            continue
        share = np.where(free[frame], shares[frame][i], 0.0)
        best = int(share.argmax())
        if share[best] >= 0.5:
            free[frame][best] = False
            hits[n] = 1.0
    total = sum(len(here.boxes) for here in truth.values())
    recall = np.cumsum(hits) / max(total, 1)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    threshold = rows[int(f1.argmax())][0] if rows else 0.5
    ceiling = np.maximum.accumulate(precision[::-1])[::-1] if len(hits) else precision
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * ceiling)), threshold


def tracking(truth: Frames, told: Frames, last: int) -> dict[str, float]:
    """HOTA, IDF1 and MOTA in points, by trackeval."""
    from trackeval.metrics import CLEAR, HOTA, Identity  # noqa: PLC0415  (a bench-only library)

    numbers = [range(1, last + 1)]
    gt_names = sorted({int(i) for here in truth.values() for i in here.ids})
    names = sorted({int(i) for here in told.values() for i in here.ids})
    gt_index = {name: n for n, name in enumerate(gt_names)}
    index = {name: n for n, name in enumerate(names)}
    gt_ids, ids, similar = [], [], []
    for frame in numbers[0]:
        a, b = truth.get(frame, NONE), told.get(frame, NONE)
        gt_ids.append(np.array([gt_index[int(i)] for i in a.ids], dtype=np.int64))
        ids.append(np.array([index[int(i)] for i in b.ids], dtype=np.int64))
        similar.append(overlap(a.boxes, b.boxes))
    data = {
        "num_timesteps": last,
        "num_gt_ids": len(gt_names),
        "num_tracker_ids": len(names),
        "num_gt_dets": sum(map(len, gt_ids)),
        "num_tracker_dets": sum(map(len, ids)),
        "gt_ids": gt_ids,
        "tracker_ids": ids,
        "similarity_scores": similar,
    }
    quiet = {"PRINT_CONFIG": False}
    clear = CLEAR(quiet).eval_sequence(data)
    return {
        "hota": 100 * float(HOTA().eval_sequence(data)["HOTA"].mean()),
        "idf1": 100 * float(Identity(quiet).eval_sequence(data)["IDF1"]),
        "mota": 100 * float(clear["MOTA"]),
        "switches": float(clear["IDSW"]),
    }


@dataclass(frozen=True)
class Leaving:
    at_s: float
    x: float
    y: float


def true_exits(truth: Frames, polygon: Floats, fps: float) -> list[Leaving]:
    """A foot is outside for three frames and more after it was inside for four: told of the first one outside."""
    paths: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
    for frame, here in truth.items():
        for name, box in zip(here.ids.tolist(), here.boxes.tolist(), strict=True):
            paths[name].append((frame, (box[0] + box[2]) / 2, box[3]))
    exits = []
    for path in paths.values():
        inside, outside, armed, crossed = 0, 0, False, Leaving(0, 0, 0)
        path.sort()
        within = signed_distance(polygon, np.array([(x, y) for _, x, y in path])) >= 0
        for (frame, x, y), good in zip(path, within.tolist(), strict=True):
            if good:
                inside, outside = inside + 1, 0
                armed = armed or inside >= 4
                continue
            if outside == 0:
                crossed = Leaving((frame - 1) / fps, x, y)
            inside, outside = 0, outside + 1
            if armed and outside == 3:
                exits.append(crossed)
                armed = False
    return exits


def hits(exits: Sequence[Leaving], told: Sequence[Leaving], *, within_s: float, within_px: float) -> int:
    """Pairs of a true and a told exit, each used once, the nearest first."""
    pairs = sorted(
        (abs(a.at_s - b.at_s) / within_s + np.hypot(a.x - b.x, a.y - b.y) / within_px, i, j)
        for i, a in enumerate(exits)
        for j, b in enumerate(told)
        if abs(a.at_s - b.at_s) <= within_s and np.hypot(a.x - b.x, a.y - b.y) <= within_px
    )
    used_exits: set[int] = set()
    used_told: set[int] = set()
    for _, i, j in pairs:
        if i not in used_exits and j not in used_told:
            used_exits.add(i)
            used_told.add(j)
    return len(used_exits)
