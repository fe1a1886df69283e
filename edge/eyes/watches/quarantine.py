"""A place that nobody may leave, or enter: who crosses its line is told once, with a picture, and when it is over."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

import msgspec
import numpy as np
from msgspec import structs

from edge.eyes.frame import Frame
from edge.eyes.watches.bodies import Bodies, detector_of
from edge.eyes.watches.checkpoint import jpeg
from edge.settings import GUARDED, Camera, Zone
from edge.sighting import Last, Outside, Sighting, Told
from models.vision.zones import Box as Pixels
from models.vision.zones import Exit, Fence, Kind, ZoneWatch, signed_side
from models.wire.events import Box as Region
from models.wire.events import ZoneBreached


def _fraction(value: float, whole: int) -> float:
    return round(min(max(value / whole, 0.0), 1.0), 4)


def _looking(camera: Camera) -> Bodies:
    return Bodies(camera, detector_of(camera), split=True)


class QuarantineWatch:
    """In maintenance it looks at nothing. What alarms nobody (a trial, free hours, an escort, a line of the staff) is
    told with its reason, and but for the trial without a picture; whoever is still out when the hours or the escort end
    is told then.
    """

    STILL_PX = 1920
    LINE_HEIGHTS = 0.5
    """So near to a staff's line, in body heights, one has gone over it."""
    OUTSIDE_S = 1.0
    """How often it is said that a body that has left is still seen."""

    def __init__(self, camera: Camera, *, key: bytes, before: "QuarantineWatch | None" = None) -> None:
        """`before` watched the same stream with other zones: who is known stays known, and whoever is about to leave a
        zone that has not changed is still about to.
        """
        self._camera = camera
        self._key = key
        self.looking: Bodies = before.looking if before and before.looking.go_by(camera) else _looking(camera)
        self.detector: str | None = self.looking.detector
        self._guarded = {zone.id: zone for zone in camera.zones if zone.kind in GUARDED}
        self.guarding: dict[tuple[Zone, int, int], ZoneWatch] = before.guarding if before else {}
        """By the zone and the size of the picture."""
        self.going: dict[str, ZoneBreached] = before.going if before else {}
        """Incidents that have not ended."""
        self.escorts: Mapping[str, datetime] = before.escorts if before else {}
        """Until when a zone may be left with an escort."""
        self._shape = (0, 0)
        self._outside_due_s = float("-inf")

    @property
    def counts(self) -> dict[str, int]:
        return self.looking.counts

    @property
    def bodies(self) -> tuple[Region, ...] | None:
        return self.looking.regions

    def see(self, frame: Frame) -> list[Sighting]:
        ended: list[Exit] = []
        if frame.y.shape != self._shape:  # the first frame, or a camera that was set to another size
            self._shape = (frame.y.shape[0], frame.y.shape[1])
            ended = self._guard(*self._shape)
        if self._camera.mode == "maintenance":
            return [*self._tell(frame, ended)]
        look = self.looking.see(frame)
        seen = [] if look is None else [e for z in self.guarding.values() for e in z.see(look.tracks, frame.stream_s)]
        return [*self._tell(frame, [*ended, *seen]), *self._overdue(frame), *self._outside(frame)]

    def _tell(self, frame: Frame, exits: Sequence[Exit]) -> list[Told]:
        """Opens with a picture, where somebody is to be alarmed; what follows without one."""
        told = []
        for one in exits:
            name = self._incident(one)
            if one.phase == "open":
                self.going[name] = breach = self._breach(one, name, self._quiet(one, frame.seen_at))
                proof = breach.quiet in {msgspec.UNSET, "trial"}
                told.append(self._said(frame, breach, jpeg(frame.bgr(), most_px=self.STILL_PX) if proof else None))
                continue
            was = self.going.pop(name)
            reported_s, shown = round(one.reported_at, 3), self._region(one.shown)
            breach = structs.replace(
                was, phase=one.phase, certainty=one.certainty, reported_at=reported_s, shown=shown,
                end_reason=one.end_reason or msgspec.UNSET,
            )  # fmt: skip
            if one.phase == "update":
                self.going[name] = breach
            told.append(self._said(frame, breach, None))
        return told

    def _overdue(self, frame: Frame) -> list[Told]:
        """Who is still out when it is no longer permitted."""
        told = []
        for name, breach in self.going.items():
            if breach.quiet not in {"hours", "escort"} or self._permit(breach.zone, frame.seen_at):
                continue
            self.going[name] = loud = structs.replace(
                breach, phase="update", quiet=msgspec.UNSET, reported_at=round(frame.stream_s, 3), shown=msgspec.UNSET
            )
            told.append(self._said(frame, loud, jpeg(frame.bgr(), most_px=self.STILL_PX)))
        return told

    def _outside(self, frame: Frame) -> list[Sighting]:
        """When the bodies that have left were last seen: whoever survives us ends their incidents with that."""
        if not self.going or frame.stream_s < self._outside_due_s:
            return []
        self._outside_due_s = frame.stream_s + self.OUTSIDE_S
        last = {self._incident(one): seen_s for z in self.guarding.values() for one, seen_s in z.outside}
        seen = {
            name: Last(seen_at=frame.seen_at - timedelta(seconds=frame.stream_s - at_s), stream_s=round(at_s, 3))
            for name, at_s in last.items()
        }
        return [Outside(camera=frame.camera, last=seen)]

    def _quiet(self, left: Exit, now: datetime) -> str | None:
        """Why nobody is to be alarmed; None: somebody is."""
        if self._camera.mode == "trial":
            return "trial"
        line = "line" if self._is_over_a_line(self._guarded[left.zone], left) else None
        return self._permit(left.zone, now) or line

    def _permit(self, name: str, now: datetime) -> str | None:
        """Why the zone may be left now."""
        zone = self._guarded.get(name)
        if zone is not None and any(hours.hold_at(now) for hours in zone.free):
            return "hours"
        until = self.escorts.get(name)
        return "escort" if until is not None and now < until else None

    def _is_over_a_line(self, zone: Zone, left: Exit) -> bool:
        height, width = self._shape
        foot, near = np.array([left.foot]), self.LINE_HEIGHTS * (left.box[3] - left.box[1])
        lines = [np.array(line) * (width, height) for line in zone.exits]
        return any(abs(float(signed_side(line, foot)[0])) <= near for line in lines)

    def _guard(self, height: int, width: int) -> list[Exit]:
        """Watch the zones in pictures of this size; what ends with that."""
        far, near = sorted(self._camera.person_px)
        guarded = () if self._camera.mode == "maintenance" else self._guarded.values()
        past, self.guarding = self.guarding, {}
        for zone in guarded:
            key = zone, height, width
            if key in past:
                self.guarding[key] = past.pop(key)
                continue
            fence = Fence(
                id=zone.id,
                kind=cast("Kind", zone.kind),
                corners=tuple((x * width, y * height) for x, y in zone.polygon),
                band_heights=zone.band_heights,
                hold_seconds=zone.hold_seconds,
            )
            self.guarding[key] = ZoneWatch(fence, height_px=(far, near))
        return [exit_ for watch in past.values() for exit_ in watch.end()]

    def _breach(self, left: Exit, incident: str, quiet: str | None) -> ZoneBreached:
        height, width = self._shape
        box = self._region(left.box)
        assert box is not msgspec.UNSET
        return ZoneBreached(
            phase="open",
            incident=incident,
            zone=left.zone,
            track=left.track,
            box=box,
            foot=(_fraction(left.foot[0], width), _fraction(left.foot[1], height)),
            left_at=round(left.left_at, 3),
            reported_at=round(left.reported_at, 3),
            certainty=left.certainty,
            quiet=quiet or msgspec.UNSET,
            beyond=round(left.beyond, 2),
            shown=self._region(left.shown),
        )

    def _region(self, box: Pixels | None) -> Region | msgspec.UnsetType:
        if box is None:
            return msgspec.UNSET
        height, width = self._shape
        x, y = _fraction(box[0], width), _fraction(box[1], height)
        return x, y, round(_fraction(box[2], width) - x, 4), round(_fraction(box[3], height) - y, 4)

    @staticmethod
    def _said(frame: Frame, breach: ZoneBreached, still: bytes | None) -> Told:
        ago_s = frame.stream_s - breach.reported_at if breach.phase == "close" else 0.0
        return Told(
            camera=frame.camera,
            seen_at=frame.seen_at - timedelta(seconds=max(ago_s, 0.0)),
            stream_s=frame.stream_s,
            event="zone.breached.v1",
            raw=msgspec.json.encode(breach),
            still=still,
        )

    def _incident(self, left: Exit) -> str:
        """Unique over boots (the key), and the same on every replay of a clip."""
        name = f"{self._camera.id}/{left.zone}/{left.track}/{left.count}/{left.left_at:.3f}"
        return hmac.digest(self._key, name.encode(), "sha256").hex()[:16]
