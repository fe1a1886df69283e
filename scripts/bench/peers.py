"""The peers of `scripts/bench/eyes`: the tracker of `trackers`, and a detector that needs OpenVINO."""

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from trackers import ByteTrackTracker

from scripts.bench.scoring import NONE, Boxes, Frames


def byte_track(found: Frames, last: int, *, fps: float, threshold: float) -> Frames:
    """`threshold`: the score from which its boxes are best, told to it, since its defaults fit no other detector."""
    tracker = bytes_of(fps=fps, threshold=threshold)
    told = {}
    for frame in range(1, last + 1):
        here = found.get(frame, NONE)
        seen = tracker.update(detections(here))
        ids = np.asarray(seen.tracker_id if seen.tracker_id is not None else [], np.int64).reshape(-1)
        known = ids >= 0
        told[frame] = Boxes(ids[known], np.asarray(seen.xyxy)[known], np.ones(int(known.sum())))
    return told


def bytes_of(*, fps: float, threshold: float) -> Any:
    return ByteTrackTracker(frame_rate=fps, track_activation_threshold=threshold, high_conf_det_threshold=threshold)


def detections(here: Boxes) -> Any:
    import supervision  # noqa: PLC0415  (a second of import)

    return supervision.Detections(
        xyxy=here.boxes.astype(np.float32).reshape(-1, 4), confidence=here.scores.astype(np.float32)
    )


def crossroad(models: Path, clip: Path) -> Frames:
    """Intel's person-vehicle-bike-detection-crossroad-0078 on every frame: people only."""
    import openvino  # noqa: PLC0415  (slow to import)

    core = openvino.Core()
    net = core.compile_model(
        str(models / "person-vehicle-bike-detection-crossroad-0078_FP16.xml"), "CPU", {"INFERENCE_NUM_THREADS": 1}
    )
    side = net.input(0).shape[2]
    found = {}
    with av.open(str(clip)) as container:
        for number, picture in enumerate(container.decode(video=0), start=1):
            bgr = picture.to_ndarray(format="bgr24")
            high, wide = bgr.shape[:2]
            rows = net(cv2.resize(bgr, (side, side)).transpose(2, 0, 1)[None].astype(np.float32))[0].reshape(-1, 7)
            rows = rows[(rows[:, 1] == 1) & (rows[:, 2] >= 0.1)]
            boxes = rows[:, 3:7].astype(np.float64) * (wide, high, wide, high)
            found[number] = Boxes(np.full(len(rows), -1), boxes, rows[:, 2].astype(np.float64))
    return found
