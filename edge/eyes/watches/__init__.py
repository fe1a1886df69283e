"""What one camera is there for. A watch sees every frame of its camera in order and says what happened."""

from typing import Protocol

from edge.eyes.frame import Frame
from edge.eyes.reader import Reads
from edge.eyes.watches.checkpoint import CheckpointWatch
from edge.eyes.watches.quarantine import QuarantineWatch
from edge.eyes.watches.traffic import TrafficWatch
from edge.settings import Camera
from edge.sighting import Sighting
from models.wire.events import Box as Region


class Watch(Protocol):
    detector: str | None
    """What it sees bodies with: "motion" or the model's name; None where it looks for no bodies."""

    @property
    def counts(self) -> dict[str, int]:
        """What it did and left out, by the names that models.wire.events.CameraHealth has for it."""
        ...

    @property
    def bodies(self) -> tuple[Region, ...] | None:
        """Who or what was seen at the last look, 0..1 of the picture; None where nobody looks."""
        ...

    def see(self, frame: Frame) -> list[Sighting]: ...


def build(camera: Camera, *, key: bytes, reader: Reads | None = None, before: Watch | None = None) -> Watch:
    """`key` belongs to this boot: repeats and incidents are named by an HMAC under it. `reader` is for codes. `before`
    watched the same stream under other settings; what it knows goes on where it still holds.

    Raises models.vision.detector.Unusable when the camera's model cannot be used.
    """
    if camera.watch == "checkpoint":
        past = before if isinstance(before, CheckpointWatch) else None
        return CheckpointWatch(camera, key=key, reader=reader, before=past)
    if camera.watch == "quarantine":
        return QuarantineWatch(camera, key=key, before=before if isinstance(before, QuarantineWatch) else None)
    return TrafficWatch(camera)
