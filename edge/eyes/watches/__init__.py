"""What one camera is there for. A watch sees every frame of its camera in order and says what happened."""

from typing import Protocol

from edge.eyes.frame import Frame
from edge.eyes.reader import Reads
from edge.eyes.watches.checkpoint import CheckpointWatch
from edge.eyes.watches.quarantine import QuarantineWatch
from edge.eyes.watches.traffic import TrafficWatch
from edge.settings import Camera
from edge.sighting import Sighting


class Watch(Protocol):
    detector: str | None
    """What it sees bodies with: "motion" or the model's name; None where it looks for no bodies."""

    @property
    def counts(self) -> dict[str, int]:
        """What it did and left out, by the names that models.wire.events.CameraHealth has for it."""
        ...

    def see(self, frame: Frame) -> list[Sighting]: ...


def build(camera: Camera, *, key: bytes, reader: Reads | None = None) -> Watch:
    """`key` belongs to this boot: repeats and incidents are named by an HMAC under it. `reader` is for codes.

    Raises models.vision.detector.Unusable when the camera's model cannot be used.
    """
    if camera.watch == "checkpoint":
        return CheckpointWatch(camera, key=key, reader=reader)
    if camera.watch == "quarantine":
        return QuarantineWatch(camera, key=key)
    return TrafficWatch(camera)
