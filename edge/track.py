"""`edge track`: every body an eye sees in a clip, as MOT files that others can score."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.eyes.watches.bodies import Bodies, detector_of
from edge.replay import Unreplayable, camera_of, frames
from edge.settings import EdgeSettings
from models.vision.tracker import Floats, Ints

_EPOCH = datetime(2021, 9, 21, 6, tzinfo=UTC)
"""Nothing in the files depends on it."""


def track(clip: Path, settings: EdgeSettings, camera_id: str | None, out: Path) -> None:
    """Write OUT.det.txt (what was found, with its score) and OUT.txt (who it is): frame, id, left, top, width, height,
    score, -1, -1, -1; frames count from 1. Every frame is looked at, also those that a live eye would skip.

    Raises Unreplayable, and models.vision.detector.Unusable.
    """
    camera = camera_of(settings, camera_id)
    bodies = Bodies(camera, detector_of(camera), split=camera.watch != "traffic", every=True)
    found: list[str] = []
    told: list[str] = []
    for number, frame in enumerate(frames(clip, camera.id, _EPOCH), start=1):
        look = bodies.see(frame)
        assert look is not None, "without a budget every frame is looked at"
        found += _rows(number, np.full(len(look.boxes), -1), look.boxes, look.scores)
        here = [one for one in look.tracks if one.seen]
        boxes = np.array([one.box for one in here], dtype=np.float64).reshape(-1, 4)
        told += _rows(
            number, np.array([one.id for one in here], np.int64), boxes, np.array([one.score for one in here])
        )
    try:
        for suffix, rows in ((".det.txt", found), (".txt", told)):
            out.with_name(out.name + suffix).write_text("".join(rows), encoding="ascii")
    except OSError as error:
        raise Unreplayable(
            f"{out}: cannot be written: {error.strerror}; give --mot a path in a folder of yours"
        ) from error


def _rows(number: int, ids: Ints, boxes: Floats, scores: Floats) -> Iterator[str]:
    for id_, (left, top, right, bottom), score in zip(ids.tolist(), boxes.tolist(), scores.tolist(), strict=True):
        yield f"{number},{id_},{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f},{score:.4f},-1,-1,-1\n"
