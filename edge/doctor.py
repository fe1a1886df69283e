"""`edge doctor`: what a camera really sends, and what to change on it. `edge diagnose`: a bundle for whoever helps."""

import io
import json
import statistics
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import VERSION
from edge.eyes.camera import Camera
from edge.eyes.frame import Frame
from edge.eyes.recorder import Reel, Unit
from edge.eyes.status import redact
from edge.eyes.watches import build
from edge.settings import Camera as CameraSettings
from edge.settings import EdgeSettings
from models.vision.tamper import look

LOOK_SECONDS = 6.0
GIVE_UP_SECONDS = 15.0
_BLURRED_PX = 48
"""Across a still in a bundle: where things are can be told, who somebody is cannot."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one camera was seen to do for some seconds."""

    camera: str
    state: str
    reason: str
    codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    keys_apart_s: float | None = None
    """None: fewer than two key frames came."""
    reorders: bool = False
    """B-frames: each picture waits for a later one."""
    kbit: float = 0.0
    first_picture_s: float = 0.0
    late_s: float = 0.0
    corrupt: int = 0
    brightness: float = 0.0
    contrast: float = 0.0
    look_ms: float = 0.0
    """What this camera's watch takes for one picture on this box."""


def examine(camera: CameraSettings, *, seconds: float = LOOK_SECONDS) -> tuple[Found, Frame | None]:
    """Watch it for so long after its first picture, and the last picture."""
    reel = Reel(seconds=60.0)
    reader = Camera(
        camera.id,
        camera.source,
        told=lambda _status, _was: None,
        transport=camera.transport,
        reel=reel,
        answer_s=camera.answer_seconds,
    )
    begun_s = time.monotonic()
    reader.start()
    try:
        frame: Frame | None = None
        while frame is None and time.monotonic() - begun_s < GIVE_UP_SECONDS and not _is_no(reader):
            frame = reader.take(0.2)
        if frame is None:
            return Found(camera=camera.id, state=reader.status.state, reason=reader.status.reason), None
        first_s = time.monotonic() - begun_s
        watch, spent = build(camera, key=bytes(32)), []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            newer = reader.take(0.5)
            if newer is not None:
                frame, at_s = newer, time.thread_time()
                watch.see(newer)
                spent.append((time.thread_time() - at_s) * 1000)
        seen = look(frame.y)
        units = reel.cut(0.0, time.monotonic())
        found = Found(
            camera=camera.id,
            state=reader.status.state,
            reason=reader.status.reason,
            width=frame.y.shape[1],
            height=frame.y.shape[0],
            first_picture_s=round(first_s, 1),
            late_s=round(reader.late_s, 2),
            corrupt=reader.counters.corrupt,
            brightness=round(seen.mean),
            contrast=round(seen.contrast),
            look_ms=round(statistics.fmean(spent), 1) if spent else 0.0,
            **_stream(units),
        )
        return found, frame
    finally:
        reader.stop()
        reader.join(5)


def _is_no(reader: Camera) -> bool:
    return reader.status.state in {"unauthorised", "not_found", "refused"}


def _stream(units: Sequence[Unit]) -> dict[str, Any]:
    if len(units) < 2:
        return {}
    lasted_s = max(units[-1].arrived_s - units[0].arrived_s, 0.001)
    keys = [unit.arrived_s for unit in units if unit.key]
    stamps = [unit.pts for unit in units if unit.pts is not None]
    return {
        "codec": units[0].film.codec,
        "fps": round((len(units) - 1) / lasted_s, 1),
        "keys_apart_s": round((keys[-1] - keys[0]) / (len(keys) - 1), 1) if len(keys) > 1 else None,
        "reorders": stamps != sorted(stamps),
        "kbit": round(sum(len(unit.data) for unit in units[:-1]) * 8 / 1000 / lasted_s),
    }


def advise(found: Found, camera: CameraSettings) -> list[str]:
    """What to change on the camera or in the file, in plain words."""
    if not found.width:
        return [f"no picture came ({found.state}: {found.reason}); check address, user, password and cable"]
    gate = camera.watch == "checkpoint"
    least = 10 if gate else 5
    far, near = sorted(camera.person_px)
    rows = (
        (found.codec not in {"h264", "hevc", "mjpeg"}, "set the codec to H.264: this one costs more to look at"),
        (found.reorders, "switch B-frames off ('profile: baseline', 'smart codec: off'): they delay every picture"),
        (
            found.keys_apart_s is None or found.keys_apart_s > 2.5,
            "set the key frame interval to 2 s: after a disturbance nothing is seen until the next key frame",
        ),
        (0 < found.fps < least, f"set at least {least} pictures a second; {found.fps:.0f} come"),
        (
            found.height > 1100 and not gate,
            "take the camera's small stream as `source` and this one as `main`: its size shows no more people",
        ),
        (found.height < 700 and gate, "take the large stream: a code needs 2 to 3 pixels for each of its modules"),
        (near > found.height, f"person_px: {near} is taller than the picture ({found.height}); measure a person here"),
        (far < 25 and not gate, f"zoom in or hang it closer: no detector sees a person of {far} pixels"),
        (found.brightness < 40, "more light, or a longer exposure: the picture is dark"),
        (found.brightness > 215, "a shorter exposure, or turn it away from the sky: the picture is washed out"),
        (found.contrast < 12, "clean or focus the lens: hardly anything stands out from the rest"),
        (found.corrupt > 0, f"check the cable and the switch: {found.corrupt} pictures came damaged"),
        (
            found.look_ms * found.fps > 800,
            f"this box cannot keep up: a look takes {found.look_ms:.0f} ms; take a smaller stream",
        ),
    )
    return [words for wrong, words in rows if wrong]


def lines(found: Found, camera: CameraSettings) -> Iterator[str]:
    if found.width:
        apart = "?" if found.keys_apart_s is None else f"{found.keys_apart_s:g}"
        yield (
            f"{found.camera}: {found.codec} {found.width}x{found.height}, {found.fps:g} pictures/s,"
            f" {found.kbit:g} kbit/s, a key frame every {apart} s, B-frames {'yes' if found.reorders else 'no'}"
        )
        yield (
            f"  first picture after {found.first_picture_s:g} s, brightness {found.brightness:g} of 255, contrast"
            f" {found.contrast:g}, a person {min(camera.person_px)}-{max(camera.person_px)} pixels,"
            f" a look {found.look_ms:g} ms on this box"
        )
    advice = advise(found, camera)
    yield from (f"  -> {one}" for one in advice)
    if not advice:
        yield "  nothing to change"


def bundle(settings: EdgeSettings, path: Path) -> None:
    """Findings, the configuration without secrets and stills in which nobody can be known, as a tar file."""
    with tarfile.open(path, "w:gz") as tar:

        def add(name: str, content: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), int(time.time())
            tar.addfile(entry, io.BytesIO(content))

        plain = settings.model_dump(mode="json", exclude={"central"})
        for camera in plain["cameras"]:
            for name in ("source", "main"):
                camera[name] = camera[name] and redact(camera[name])
        add("config.json", json.dumps(plain, ensure_ascii=False, indent=1).encode())
        told = [f"version {VERSION}", f"at {datetime.now(UTC).isoformat()}"]
        for camera in settings.cameras:
            found, frame = examine(camera)
            told += lines(found, camera)
            if frame is not None:
                add(f"{camera.id}.jpg", _blurred(frame))
        add("doctor.txt", "\n".join(told).encode() + b"\n")
        outbox = Path(settings.data) / "outbox.db"
        add("data.txt", f"outbox.db {outbox.stat().st_size if outbox.exists() else 0} bytes\n".encode())


def _blurred(frame: Frame) -> bytes:
    height, width = frame.y.shape
    small = cv2.resize(frame.bgr(), (_BLURRED_PX, max(_BLURRED_PX * height // width, 1)), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.resize(small, (640, 640 * height // width)))
    return np.asarray(jpeg).tobytes()
