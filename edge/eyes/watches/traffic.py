"""A street: how many bodies, how full, and how many go by a minute."""

from typing import Literal

import msgspec
import numpy as np

from edge.eyes.frame import Frame
from edge.eyes.watches.bodies import Bodies, detector_of, feet, outside_ignored
from edge.settings import Camera, Zone
from edge.sighting import Sighting, Told
from models.vision.crowd import COCO, Body, Count, Crowd, Flow, Level
from models.vision.tracker import Track
from models.wire import events

WHOLE = Zone(id="street", kind="count", polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
"""What is counted where no zone is drawn."""


class TrafficWatch:
    """Measures at most once a second. Without a class detector the level is paused: a background model absorbs exactly
    the gathering that matters. The flow over a line always goes by motion, which needs more than a look a second.
    """

    LOOK_S = 1.0
    LEAST_SCORE = 0.2
    REPEAT_S = 60.0
    """A measure that does not change is told this seldom."""

    def __init__(self, camera: Camera) -> None:
        self._detector = detector_of(camera)
        self.detector: str | None = self._detector.name if self._detector else "motion"
        self._camera = camera
        self._zones = [zone for zone in camera.zones if zone.kind in {"count", "count-line"}] or [WHOLE]
        lines = any(zone.kind == "count-line" for zone in self._zones)
        self._moving = Bodies(camera, None, split=False) if lines or not self._detector else None
        self._tracks: list[Track] = []
        self._shape = (0, 0)
        self._counts: dict[str, Count] = {}
        self._flows: dict[str, Flow] = {}
        self._levels = {zone.id: Level(zone.levels, hold_s=zone.hold_seconds) for zone in self._zones}
        self._paused: set[str] = set()
        self._told: dict[str, tuple[bytes, float]] = {}
        self._next_s = float("-inf")

    def see(self, frame: Frame) -> list[Sighting]:
        if self._camera.mode == "maintenance":
            return []
        if frame.y.shape != self._shape:
            self._shape = (frame.y.shape[0], frame.y.shape[1])
            self._measure_anew()
        flows = self._flow(frame)
        if frame.stream_s < self._next_s:
            return []
        self._next_s = frame.stream_s + self.LOOK_S
        places, bodies = self._look(frame)
        told: list[Sighting] = []
        for zone in self._zones:
            if zone.kind == "count-line":
                crowd = Crowd(counts={}, low=0, high=0)
            else:
                crowd = self._counts[zone.id].see(places, bodies)
            told += self._measure(frame, zone, crowd, flows.get(zone.id))
            told += self._level(frame, zone, crowd)
        return told

    def _measure_anew(self) -> None:
        height, width = self._shape
        for zone in self._zones:
            corners = np.array(zone.polygon) * (width, height)
            if zone.kind == "count-line":
                self._flows[zone.id] = Flow(corners)
            else:
                self._counts[zone.id] = Count(corners)

    def _flow(self, frame: Frame) -> dict[str, events.Flow]:
        look = self._moving.see(frame) if self._moving else None
        if look is not None:
            self._tracks = look.tracks
        now: dict[str, events.Flow] = {}
        for name, flow in self._flows.items():
            inward, outward = flow.see(look.tracks if look else [], frame.stream_s)
            now[name] = events.Flow(in_=round(inward, 1), out=round(outward, 1))
        return now

    def _look(self, frame: Frame) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], list[Body]]:
        if not self._detector:
            here = [track.foot for track in self._tracks if track.seen]
            return np.array(here, dtype=np.float64).reshape(-1, 2), ["unknown"] * len(here)
        found = self._detector.detect(frame.bgr())
        kept = outside_ignored(self._camera, found.boxes, *self._shape) & np.isin(found.classes, list(COCO))
        kept &= found.scores >= self.LEAST_SCORE
        return feet(found.boxes[kept]), [COCO[class_] for class_ in found.classes[kept].tolist()]

    def _measure(self, frame: Frame, zone: Zone, crowd: Crowd, flow: events.Flow | None) -> list[Sighting]:
        basis: Literal["detector", "motion"] = "detector" if self._detector and flow is None else "motion"
        raw = msgspec.json.encode(
            events.CrowdMeasured(
                zone=zone.id,
                counts=_counts(crowd),
                low=crowd.low,
                high=crowd.high,
                flow=msgspec.UNSET if flow is None else flow,
                basis=basis,
            )
        )
        last, at = self._told.get(zone.id, (b"", float("-inf")))
        if raw == last and frame.stream_s - at < self.REPEAT_S:
            return []
        self._told[zone.id] = (raw, frame.stream_s)
        return [_told(frame, "crowd.measured.v1", raw)]

    def _level(self, frame: Frame, zone: Zone, crowd: Crowd) -> list[Sighting]:
        level: int | Literal["paused"]
        was: int | None = None
        if not self._detector:
            if zone.id in self._paused:
                return []
            self._paused.add(zone.id)
            level = "paused"
        elif zone.kind == "count-line":
            return []  # a line has no crowd on it
        else:
            change = self._levels[zone.id].see(crowd.total, frame.stream_s)
            if change is None:
                return []
            level, was = change
        data = events.CrowdLevel(
            zone=zone.id,
            level=level,
            was=msgspec.UNSET if was is None else was,
            since=round(frame.stream_s, 3),
            counts=_counts(crowd),
        )
        return [_told(frame, "crowd.level.v1", msgspec.json.encode(data))]


def _counts(crowd: Crowd) -> events.Counts:
    return msgspec.convert(dict(crowd.counts), events.Counts)


def _told(frame: Frame, event: str, raw: bytes) -> Told:
    return Told(camera=frame.camera, seen_at=frame.seen_at, stream_s=frame.stream_s, event=event, raw=raw)
