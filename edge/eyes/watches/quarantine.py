"""A place that nobody may leave, or enter: who crosses its line is told once, with a picture."""

import hmac
from datetime import datetime
from typing import cast

import msgspec
import numpy as np

from edge.eyes.frame import Frame
from edge.eyes.watches.bodies import Bodies, detector_of
from edge.eyes.watches.checkpoint import jpeg
from edge.settings import GUARDED, Camera, Zone
from edge.sighting import Sighting, Told
from models.vision.zones import Exit, Fence, Kind, ZoneWatch, signed_side
from models.wire.events import Box as Region
from models.wire.events import ZoneBreached


def _fraction(value: float, whole: int) -> float:
    return round(min(max(value / whole, 0.0), 1.0), 4)


def _looking(camera: Camera) -> Bodies:
    return Bodies(camera, detector_of(camera), split=True)


class QuarantineWatch:
    """In maintenance it looks at nothing. What alarms nobody (a trial, free hours, a line of the staff) is told with
    its reason, and but for the trial without a picture.
    """

    STILL_PX = 1920
    LINE_HEIGHTS = 0.5
    """So near to a staff's line, in body heights, one has gone over it."""

    def __init__(self, camera: Camera, *, key: bytes, before: "QuarantineWatch | None" = None) -> None:
        """`before` watched the same stream with other zones: who is known stays known, and whoever is about to leave a
        zone that has not changed is still about to.
        """
        self._camera = camera
        self._key = key
        self.looking: Bodies = before.looking if before and before.looking.go_by(camera) else _looking(camera)
        self.detector: str | None = self.looking.detector
        self._guarded = {zone.id: zone for zone in camera.zones if zone.kind in GUARDED}
        self._known = before.guarding if before else {}
        self.guarding: dict[tuple[Zone, int, int], ZoneWatch] = {}
        """By the zone and the size of the picture."""
        self._shape = (0, 0)

    @property
    def counts(self) -> dict[str, int]:
        return self.looking.counts

    @property
    def bodies(self) -> tuple[Region, ...] | None:
        return self.looking.regions

    def see(self, frame: Frame) -> list[Sighting]:
        if self._camera.mode == "maintenance":
            return []
        if frame.y.shape != self._shape:  # the first frame, or a camera that was set to another size
            self._shape = (frame.y.shape[0], frame.y.shape[1])
            self.guarding, self._known = self._watches(*self._shape), {}
        look = self.looking.see(frame)
        if look is None:
            return []
        left = [one for zone in self.guarding.values() for one in zone.see(look.tracks, frame.stream_s)]
        if not left:
            return []
        quiet = [self._quiet(one, frame.seen_at) for one in left]
        proven = [reason in {None, "trial"} for reason in quiet]
        still = jpeg(frame.bgr(), most_px=self.STILL_PX) if any(proven) else None
        return [
            self._tell(frame, one, reason, still if shown else None)
            for one, reason, shown in zip(left, quiet, proven, strict=True)
        ]

    def _quiet(self, left: Exit, now: datetime) -> str | None:
        """Why nobody is to be alarmed; None: somebody is."""
        zone = self._guarded[left.zone]
        if self._camera.mode == "trial":
            return "trial"
        if any(hours.hold_at(now) for hours in zone.free):
            return "hours"
        return "line" if self._is_over_a_line(zone, left) else None

    def _is_over_a_line(self, zone: Zone, left: Exit) -> bool:
        height, width = self._shape
        foot, near = np.array([left.foot]), self.LINE_HEIGHTS * (left.box[3] - left.box[1])
        lines = [np.array(line) * (width, height) for line in zone.exits]
        return any(abs(float(signed_side(line, foot)[0])) <= near for line in lines)

    def _watches(self, height: int, width: int) -> dict[tuple[Zone, int, int], ZoneWatch]:
        far, near = sorted(self._camera.person_px)
        return {
            (zone, height, width): self._known.get((zone, height, width))
            or ZoneWatch(
                Fence(
                    id=zone.id,
                    kind=cast("Kind", zone.kind),
                    corners=tuple((x * width, y * height) for x, y in zone.polygon),
                    band_heights=zone.band_heights,
                    hold_seconds=zone.hold_seconds,
                ),
                height_px=(far, near),
            )
            for zone in self._guarded.values()
        }

    def _tell(self, frame: Frame, left: Exit, quiet: str | None, still: bytes | None) -> Told:
        height, width = self._shape
        x1, y1, x2, y2 = left.box
        x, y = _fraction(x1, width), _fraction(y1, height)
        breach = ZoneBreached(
            phase="open",
            incident=self._incident(left),
            zone=left.zone,
            track=left.track,
            box=(x, y, round(_fraction(x2, width) - x, 4), round(_fraction(y2, height) - y, 4)),
            foot=(_fraction(left.foot[0], width), _fraction(left.foot[1], height)),
            left_at=round(left.left_at, 3),
            reported_at=round(left.reported_at, 3),
            certainty=left.certainty,
            quiet=quiet or msgspec.UNSET,
            beyond=round(left.beyond, 2),
        )
        return Told(
            camera=frame.camera,
            seen_at=frame.seen_at,
            stream_s=frame.stream_s,
            event="zone.breached.v1",
            raw=msgspec.json.encode(breach),
            still=still,
        )

    def _incident(self, left: Exit) -> str:
        """Unique over boots (the key), and the same on every replay of a clip."""
        name = f"{self._camera.id}/{left.zone}/{left.track}/{left.count}/{left.left_at:.3f}"
        return hmac.digest(self._key, name.encode(), "sha256").hex()[:16]
