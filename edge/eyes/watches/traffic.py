"""A street: how many bodies, how full, and how many go by a minute."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.eyes.frame import Frame
from edge.eyes.seat import Stale
from edge.eyes.watches.bodies import Bodies, detector_of, feet, outside_ignored, regions
from edge.settings import Camera, Zone
from edge.sighting import Sighting, Told
from models import limits
from models.document import BadDocument
from models.vision.crowd import COCO, Body, Count, Crowd, Flow, Gathering, Level, Occupied, countable, on_foot
from models.vision.detector import Unusable
from models.vision.ground import BadGround, area_m2
from models.vision.tamper import Tamper
from models.vision.tiles import look
from models.vision.zones import signed_distance
from models.wire import events
from models.wire.events import Box as Region

Floats = NDArray[np.float64]
WHOLE = Zone(id="street", kind="count", polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
"""What is counted where no zone is drawn."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One look at the whole picture."""

    boxes: Floats
    bodies: Sequence[Body]
    paused: str | None
    """Why nothing of it may give a level."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One zone at one look."""

    crowd: Crowd
    density: float | None = None
    gathering: int = 0
    flow: events.Flow | None = None
    occupancy: float | None = None


class Street:
    """One counted polygon in pixels of its camera."""

    HOLD_S = 4.0
    """Beside the looks of the median: a level stands within ten seconds, and no bus makes one."""

    def __init__(self, zone: Zone, *, height: int, width: int) -> None:
        self.zone = zone
        self._corners = np.array(zone.polygon) * (width, height)
        points = [(x * width, y * height, east, north) for x, y, east, north in zone.ground]
        self._area_m2 = area_m2(self._corners, metres_per_pixel=zone.metres_per_pixel, ground=points)
        self._count = Count(self._corners, scale=zone.scale)
        self._gathering = Gathering()
        self._occupied = Occupied(self._corners, height=height, width=width)
        self._level = Level(hold_s=max(zone.hold_seconds, self.HOLD_S))
        self._paused: str | None = None

    def see(self, seen: Seen, frame: Frame) -> Measure:
        crowd = self._count.see(feet(seen.boxes), seen.bodies)
        inside = signed_distance(self._corners, feet(seen.boxes)) >= 0.0 if len(seen.boxes) else np.zeros(0, np.bool_)
        walking = seen.boxes[on_foot(seen.boxes, seen.bodies) & inside]
        gathering = self._gathering.see(feet(walking), walking[:, 3] - walking[:, 1], frame.stream_s)
        return Measure(
            crowd=crowd,
            density=None if self._area_m2 is None else round(crowd.total / self._area_m2 * 100.0, 2),
            gathering=gathering,
        )

    def occupancy(self, frame: Frame) -> float | None:
        share = self._occupied.see(frame.y, frame.stream_s)
        return None if share is None else round(share, 2)

    def level(self, measure: Measure, hours: limits.Hours | None, frame: Frame) -> events.CrowdLevel | None:
        """What is new of the level."""
        self._paused = None
        if not self._count.sure:
            return None
        amount, thresholds = float(measure.crowd.total), tuple(map(float, self.zone.levels))
        if hours is not None:
            thresholds = hours.bodies
            if hours.per_100_m2 is not None and measure.density is not None:
                amount, thresholds = measure.density, hours.per_100_m2
        together = hours is not None and measure.gathering > hours.gathering
        change = self._level.see(amount, thresholds, frame.stream_s, gathering=together)
        if change is None:
            return None
        level, was = change
        return events.CrowdLevel(
            zone=self.zone.id,
            level=level,
            was=msgspec.UNSET if was is None else was,
            since=round(frame.stream_s, 3),
            counts=_counts(measure.crowd),
            reason="gathering" if together else msgspec.UNSET,
        )

    def pause(self, reason: str, frame: Frame) -> events.CrowdLevel | None:
        """Said once for each reason."""
        if reason == self._paused:
            return None
        self._paused = reason
        was = self._level.pause()
        return events.CrowdLevel(
            zone=self.zone.id,
            level="paused",
            was=msgspec.UNSET if was is None else was,
            since=round(frame.stream_s, 3),
            counts=events.Counts(),
            reason=reason,
        )

    def forget(self) -> None:
        self._count.forget()
        self._gathering.forget()


class TrafficWatch:
    """Measures at most once a second. Without a class detector the level is paused: a background model absorbs exactly
    the gathering that matters. The flow over a line always goes by motion, which needs more than a look a second.
    """

    LOOK_S = 1.0
    REPEAT_S = 60.0
    """A measure that does not change is told this seldom."""
    CHANGE_SHARE = 0.15
    """… and one that changes by less than this."""

    def __init__(self, camera: Camera) -> None:
        self._detector = detector_of(camera)
        self.detector: str | None = self._detector.name if self._detector else "motion"
        try:
            self._limits = limits.read(Path(camera.limits)) if camera.limits else None
        except BadDocument as error:
            raise Unusable(str(error)) from error
        self._camera = camera
        self._zones = [zone for zone in camera.zones if zone.kind in {"count", "count-line"}] or [WHOLE]
        lines = any(zone.kind == "count-line" for zone in self._zones)
        self._moving = Bodies(camera, None, split=False) if lines or not self._detector else None
        self._still: Floats = np.zeros((0, 4))
        self._seen_boxes: Floats = np.zeros((0, 4))
        self._tamper = Tamper()
        self._shape = (0, 0)
        self._streets: dict[str, Street] = {}
        self._flows: dict[str, Flow] = {}
        self._told: dict[str, tuple[Measure, float]] = {}
        self._next_s = float("-inf")
        self._measure_anew(1000, 1000)  # so that a calibration that cannot be is told at the start

    @property
    def counts(self) -> dict[str, int]:
        crowded = self._moving.counts["crowded"] if self._moving else 0
        return (asdict(self._detector.spent) if self._detector else {}) | {"crowded": crowded}

    @property
    def bodies(self) -> tuple[Region, ...] | None:
        return regions(self._seen_boxes, *self._shape) if self._streets else None

    def see(self, frame: Frame) -> list[Sighting]:
        if self._camera.mode == "maintenance":
            return []
        if frame.y.shape != self._shape:
            self._shape = (frame.y.shape[0], frame.y.shape[1])
            self._measure_anew(*self._shape)
        flows = self._flow(frame)
        if frame.stream_s < self._next_s:
            return []
        told: list[Sighting] = []
        try:
            seen = self._look(frame) if self._streets else None
        except Stale:
            return []
        self._next_s = frame.stream_s + self.LOOK_S
        for name, flow in flows.items():
            told += self._measured(frame, name, Measure(crowd=Crowd(counts={}, low=0, high=0), flow=flow))
        if seen is not None:
            self._seen_boxes = seen.boxes
            hours = self._limits.at(frame.seen_at) if self._limits else None
            for street in self._streets.values():
                told += self._seen(frame, street, seen, hours)
        return told

    def _measure_anew(self, height: int, width: int) -> None:
        try:
            for zone in self._zones:
                if zone.kind == "count-line":
                    self._flows[zone.id] = Flow(np.array(zone.polygon) * (width, height))
                else:
                    self._streets[zone.id] = Street(zone, height=height, width=width)
        except BadGround as error:
            raise Unusable(f"zone {zone.id}: {error}") from error

    def _flow(self, frame: Frame) -> dict[str, events.Flow]:
        seen = self._moving.see(frame) if self._moving else None
        if seen is not None:
            self._still = np.array([track.box for track in seen.tracks if track.seen], np.float64).reshape(-1, 4)
        now: dict[str, events.Flow] = {}
        for name, flow in self._flows.items():
            inward, outward = flow.see(seen.tracks if seen else [], frame.stream_s)
            now[name] = events.Flow(in_=round(inward, 1), out=round(outward, 1))
        return now

    def _look(self, frame: Frame) -> Seen:
        if not self._detector:
            return Seen(boxes=self._still, bodies=["unknown"] * len(self._still), paused="no_detector")
        fault = self._tamper.see(frame.y, frame.stream_s)
        if fault:
            return Seen(boxes=np.zeros((0, 4)), bodies=[], paused=fault)
        far, near = sorted(self._camera.person_px)
        seat = self._detector
        found = seat.look(frame, lambda: look(seat, frame.bgr(), far_px=far, near_px=near))
        kept = outside_ignored(self._camera, found.boxes, *self._shape) & np.isin(found.classes, list(COCO))
        kept &= countable(found.scores, self._detector.family)
        return Seen(boxes=found.boxes[kept], bodies=[COCO[one] for one in found.classes[kept].tolist()], paused=None)

    def _seen(self, frame: Frame, street: Street, seen: Seen, hours: limits.Hours | None) -> list[Sighting]:
        if seen.paused and self._detector:
            street.forget()
            self._told.pop(street.zone.id, None)
            level = street.pause(seen.paused, frame)
            return [_told(frame, level)] if level else []
        measure = street.see(seen, frame)
        if seen.paused:
            measure = Measure(crowd=measure.crowd, occupancy=street.occupancy(frame))
            level = street.pause(seen.paused, frame)
        else:
            level = street.level(measure, hours, frame)
        return [*self._measured(frame, street.zone.id, measure), *([_told(frame, level)] if level else [])]

    def _measured(self, frame: Frame, zone: str, now: Measure) -> list[Sighting]:
        last, at = self._told.get(zone, (None, float("-inf")))
        if last is not None and frame.stream_s - at < self.REPEAT_S and not _differs(last, now, self.CHANGE_SHARE):
            return []
        self._told[zone] = (now, frame.stream_s)
        basis: Literal["detector", "motion"] = "detector" if self._detector and now.flow is None else "motion"
        data = events.CrowdMeasured(
            zone=zone,
            counts=_counts(now.crowd),
            low=now.crowd.low,
            high=now.crowd.high,
            density=msgspec.UNSET if now.density is None else now.density,
            flow=msgspec.UNSET if now.flow is None else now.flow,
            basis=basis,
            gathering=now.gathering or msgspec.UNSET,
            occupancy=msgspec.UNSET if now.occupancy is None else now.occupancy,
        )
        return [_told(frame, data)]


def _differs(last: Measure, now: Measure, share: float) -> bool:
    """Whether a desk would want to know: by more than one body and a share, or a flow of more than two a minute."""
    more = abs(now.crowd.total - last.crowd.total)
    flow = 0.0
    if last.flow and now.flow:
        flow = abs(now.flow.in_ + now.flow.out - last.flow.in_ - last.flow.out)
    return (
        (more > 1 and more > share * last.crowd.total)
        or flow > max(2.0, share * (last.flow.in_ + last.flow.out) if last.flow else 0.0)
        or abs(now.gathering - last.gathering) > 1
        or abs((now.occupancy or 0.0) - (last.occupancy or 0.0)) > share
    )


def _counts(crowd: Crowd) -> events.Counts:
    return msgspec.convert(dict(crowd.counts), events.Counts)


def _told(frame: Frame, data: events.CrowdMeasured | events.CrowdLevel) -> Told:
    return Told(
        camera=frame.camera,
        seen_at=frame.seen_at,
        stream_s=frame.stream_s,
        event=events.NAMES[type(data)],
        raw=msgspec.json.encode(data),
    )
