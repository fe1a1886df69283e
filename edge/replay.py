"""`edge replay`: the events of a recorded clip, byte for byte the same on every run.

Nothing here is random and nothing is a wall clock: the outbox's epoch, the ids, the times and the sealing keys come
from the clip, the configuration and `start`.
"""

import hashlib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import av
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import UNSET
from numpy.typing import NDArray

from edge.eyes.frame import Frame, luma
from edge.eyes.watches import build
from edge.gate import verdict
from edge.settings import Camera, EdgeSettings
from edge.sighting import Scanned, Sighting, Told
from models.passes import trust
from models.passes.scan import Pass
from models.wire import events
from models.wire.seal import Identity, seal

_CHUNK_BYTES = 1 << 20


class Unreplayable(ValueError):
    """A clip or a camera that cannot be replayed; the message says why and what to do."""


def replay(clip: Path, settings: EdgeSettings, camera_id: str | None, start: datetime) -> Iterator[bytes]:
    """One CloudEvent as JSON a line (no newline at its end). Raises Unreplayable before the first one."""
    camera = camera_of(settings, camera_id)
    epoch = _epoch(clip, settings)
    watch = build(camera, key=_derived(epoch, "watch"))
    recipient = _recipient(settings, epoch)
    sequence = 0
    for frame in frames(clip, camera.id, start):
        for sighting in watch.see(frame):
            data = _data(sighting, recipient, _derived(epoch, str(sequence + 1)))
            if data is None:
                continue
            sequence += 1
            yield events.encode(
                events.Event(
                    id=str(uuid5(NAMESPACE_URL, f"{epoch}/{sequence}")),
                    site=settings.site,
                    edge=settings.edge,
                    camera=camera.id,
                    time=start + timedelta(seconds=_when(data, frame)),
                    clock="synced",
                    sequence=sequence,
                    epoch=epoch,
                    data=data,
                )
            )


def frames(clip: Path, camera: str, start: datetime) -> Iterator[Frame]:
    """Every frame of a file in order. Time is the stream's; a clip without time stamps goes by its average rate."""
    try:
        container = av.open(str(clip))
    except (OSError, av.FFmpegError) as error:
        raise Unreplayable(f"{clip}: cannot be opened as video: {error.strerror}; give the path of a clip") from error
    with container:
        if not container.streams.video:
            raise Unreplayable(f"{clip}: has no picture in it; give a clip with video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # the same pictures in the same order on every machine
        rate = float(stream.average_rate or 25)
        first: float | None = None
        now = -1.0 / rate
        for picture in _pictures(container, stream):
            if picture.pts is None or picture.time_base is None:
                now += 1.0 / rate
            else:
                stamp = float(picture.pts * picture.time_base)
                first = stamp if first is None else first
                now = max(stamp - first, now, 0.0)
            stream_s = round(now, 6)
            yield Frame(
                camera=camera,
                y=luma(picture),
                stream_s=stream_s,
                arrived_s=stream_s,
                seen_at=start + timedelta(seconds=stream_s),
                corrupt=bool(picture.is_corrupt),
                bgr=_colour(picture),
            )


def _pictures(container: Any, stream: Any) -> Iterator[Any]:
    """What can be decoded; a broken packet costs its own pictures, not the rest of the clip."""
    for packet in container.demux(stream):
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from pictures


def _colour(picture: Any) -> Callable[[], NDArray[Any]]:
    return lambda: np.asarray(picture.to_ndarray(format="bgr24"))


def camera_of(settings: EdgeSettings, camera_id: str | None) -> Camera:
    """The one that is asked for, or the only one. Raises Unreplayable."""
    names = [camera.id for camera in settings.cameras]
    if camera_id is None and len(names) == 1:
        return settings.cameras[0]
    if camera_id not in names:
        said = f"no camera {camera_id!r}" if camera_id else "several cameras"
        raise Unreplayable(f"{said} in the configuration; give --camera with one of {', '.join(names)}")
    return settings.cameras[names.index(camera_id)]


def _epoch(clip: Path, settings: EdgeSettings) -> str:
    digest = hashlib.sha256()
    try:
        with clip.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise Unreplayable(f"{clip}: cannot be read: {error.strerror}; give the path of a clip") from error
    digest.update(settings.model_dump_json().encode())
    return digest.hexdigest()[:8]


def _derived(epoch: str, name: str) -> bytes:
    """Thirty-two bytes that are the same on every run."""
    return hashlib.sha256(f"{epoch}/{name}".encode()).digest()


def _recipient(settings: EdgeSettings, epoch: str) -> bytes:
    """Central's key; without a central, one that nobody keeps."""
    if settings.central is None:
        return X25519PrivateKey.from_private_bytes(_derived(epoch, "recipient")).public_key().public_bytes_raw()
    return urlsafe_b64decode(settings.central.seal_key.rstrip("=") + "=")


def _when(data: events.Data, frame: Frame) -> float:
    return data.reported_at if isinstance(data, events.ZoneBreached) else frame.stream_s


def _data(sighting: Sighting, recipient: bytes, ephemeral: bytes) -> events.Data | None:
    """The event's data; None for what is no event: a repeat, a code not read yet."""
    if isinstance(sighting, Told):
        return msgspec.json.decode(sighting.raw, type=events.TYPES[sighting.event])
    if not isinstance(sighting, Scanned) or sighting.repeat:
        return None
    code = trust.confirm(sighting.code, now=sighting.seen_at)  # a replay knows nobody's key
    return events.PassScanned(
        kind=code.kind,
        lane=sighting.lane or UNSET,
        stop=sighting.stop or UNSET,
        sealed=_sealed(code, recipient, ephemeral),
        facts=code.facts,
        signature=code.signature,
        local=verdict.unknowing(code),
        px_per_module=UNSET if sighting.px_per_module is None else sighting.px_per_module,
    )


def _sealed(code: Pass, recipient: bytes, ephemeral: bytes) -> str | msgspec.UnsetType:
    birth = code.birth.isoformat() if code.birth else str(code.birth_year) if code.birth_year else None
    if not code.ids and code.name is None and birth is None:
        return UNSET
    identity = Identity(
        ids=code.ids,
        name=UNSET if code.name is None else code.name,
        birth=UNSET if birth is None else birth,
        sex=UNSET if code.sex is None else code.sex,
    )
    return seal(identity, recipient, ephemeral=ephemeral)
