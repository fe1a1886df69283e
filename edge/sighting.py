"""What an eye tells its gate over their local socket, msgpack, one message a frame. Plain identities end here, in RAM.

`stream_s` is the stream's own clock (first frame = 0), `seen_at` the wall clock when the frame arrived.
"""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from models.aim import Advice
from models.passes.scan import Pass
from models.wire.events import Box as Region
from models.wire.events import CameraHealth


class Reading(Struct, frozen=True, kw_only=True, tag="reading"):
    """A code is located but not read yet; the officer's screen says so at once."""

    camera: str
    seen_at: datetime
    advice: Advice | None = None
    """What its holder can do about it, once it has stayed unread for a moment."""


class Scanned(Struct, frozen=True, kw_only=True, tag="scanned"):
    """One person has shown one code, or shows it again (`repeat` > 0: no new event, the screen flashes with it)."""

    camera: str
    seen_at: datetime
    stream_s: float
    lane: str | None
    stop: str | None = None
    """The vehicle's, where vehicles stop: one name until the lane is empty again."""
    code: Pass
    payload_key: bytes
    """An HMAC of the payload, and of which of several such codes it is, under a key of this eye's boot: tells repeats
    apart, says nothing of the payload."""
    repeat: int
    px_per_module: float | None
    crop: bytes | None
    """JPEG of the person, for the officer's screen only."""


class Told(Struct, frozen=True, kw_only=True, tag="told"):
    """An event of the eye's own. `still` is the JPEG that proves it."""

    camera: str
    seen_at: datetime
    stream_s: float
    event: str
    """The wire's name of the event: zone.breached.v1, …"""
    raw: bytes
    """Its data as JSON, as the wire spells it."""
    still: bytes | None = None


class Last(Struct, frozen=True):
    seen_at: datetime
    stream_s: float


class Outside(Struct, frozen=True, kw_only=True, tag="outside"):
    """Once a second while there are any: bodies that have left a zone, and when each was last seen, by its incident."""

    camera: str
    last: dict[str, Last]


class Health(Struct, frozen=True, kw_only=True, tag="health"):
    """Once a second for each camera: counters for `state`, and that the eye is alive."""

    camera: str
    health: CameraHealth
    detector: str | None = None


class Still(Struct, frozen=True, kw_only=True, tag="still"):
    """The newest picture of a camera, at most one a second: RAM only, overwritten."""

    camera: str
    seen_at: datetime
    jpeg: bytes
    bodies: tuple[Region, ...] | None = None
    """Who or what was last seen; None where nobody looks for bodies."""


class Footage(Struct, frozen=True, kw_only=True, tag="footage"):
    """A piece of an incident's film. Fragments come while it goes on and are playable as they are; then the clip."""

    camera: str
    incident: str
    part: Literal["fragment", "clip"]
    data: bytes
    last: bool
    """Of the clip's pieces."""
    began_at: datetime
    """Wall clock of the first picture."""
    seconds: float
    original: str | None = None
    """SHA-256 of the camera's own packets where the clip had to be encoded anew."""


Sighting = Reading | Scanned | Told | Outside | Health | Still | Footage

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Sighting)


def encode(sighting: Sighting) -> bytes:
    return _encoder.encode(sighting)


def decode(message: bytes) -> Sighting:
    """Raises msgspec.MsgspecError: an eye that sends this is broken and is restarted."""
    sighting: Sighting = _decoder.decode(message)
    return sighting
