"""`edge doctor`: what a camera really sends, and what to change on it. `edge diagnose`: a bundle for whoever helps."""

import io
import json
import re
import socket
import statistics
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
from pydantic import ValidationError

from edge import VERSION
from edge.eyes.camera import Camera
from edge.eyes.frame import Frame
from edge.eyes.recorder import Reel, Unit
from edge.eyes.watches import build
from edge.settings import Camera as CameraSettings
from edge.settings import EdgeSettings
from edge.sighting import Scanned
from models.address import redact
from models.optics import READABLE_PX, SYMBOLS, View, prospect
from models.view import findings
from models.view.page import text
from models.vision.detector import Unusable
from models.vision.tamper import look

LOOK_SECONDS = 6.0
CLOCK_S = 2.0
"""A film's own time stamps must agree with the alert's."""
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
    clock_s: float | None = None
    """How far the camera's clock is ahead of ours; None: it does not say."""
    px_per_module: float | None = None
    """Of the best code that was held up meanwhile."""
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
        watch, spent, px = build(camera, key=bytes(32)), [], []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            newer = reader.take(0.5)
            if newer is not None:
                frame, at_s = newer, time.thread_time()
                px += [one.px_per_module for one in watch.see(newer) if isinstance(one, Scanned) and one.px_per_module]
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
            clock_s=clock_s(camera.source),
            px_per_module=max(px, default=None),
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


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What to change; `doctor.<key>` of the catalogue has the words, `values` what stands in them."""

    key: str
    values: Mapping[str, float | str]


def advise(found: Found, camera: CameraSettings) -> list[Advice]:
    """What to change on the camera or in the file."""
    if not found.width:
        return [Advice(key="no_picture", values={"state": found.state, "reason": found.reason})]
    gate = camera.watch == "checkpoint"
    least = 10 if gate else 5
    far, near = sorted(camera.person_px)
    rows: tuple[tuple[str, bool, dict[str, float | str]], ...] = (
        ("codec", found.codec not in {"h264", "hevc", "mjpeg"}, {}),
        ("reorders", found.reorders, {}),
        ("keys", found.keys_apart_s is None or found.keys_apart_s > 2.5, {}),
        ("fps", 0 < found.fps < least, {"least": least, "fps": round(found.fps)}),
        ("too_large", found.height > 1100 and not gate, {}),
        ("too_small", found.height < 700 and gate, {}),
        ("person_tall", near > found.height, {"near": near, "height": found.height}),
        ("person_small", far < 25 and not gate, {"far": far}),
        ("dark", found.brightness < 40, {}),
        ("bright", found.brightness > 215, {}),
        ("flat", found.contrast < 12, {}),
        ("corrupt", found.corrupt > 0, {"count": found.corrupt}),
        ("clock", abs(found.clock_s or 0.0) > CLOCK_S, {"seconds": f"{found.clock_s or 0.0:+.0f}"}),
        ("module", gate and found.px_per_module is not None and found.px_per_module < READABLE_PX,
         {"px": f"{found.px_per_module or 0.0:.1f}"}),
        ("slow", found.look_ms * found.fps > 800, {"ms": round(found.look_ms)}),
    )  # fmt: skip
    return [Advice(key=key, values=values) for key, wrong, values in rows if wrong]


def modules(width_px: int, lens_degrees: float, distance_m: float) -> dict[str, tuple[float, str]]:
    """Of each kind of code: pixels a module through this lens at this distance, and whether that is enough. Raises
    ValueError.
    """
    view = View(width_px=width_px, lens_degrees=lens_degrees, distance_m=distance_m)
    return {kind: (round(one.px_per_module, 1), one.verdict) for kind in SYMBOLS for one in [prospect(kind, view)]}


def lines(found: Found, camera: CameraSettings, lang: str = "en") -> Iterator[str]:
    said = findings.advice(lang, [asdict(one) for one in advise(found, camera)])
    for number, line in enumerate(findings.summary(lang, asdict(found), camera.person_px)):
        yield f"  {line}" if number else f"{found.camera}: {line}"
    yield from (f"  -> {one}" for one in said)
    if not said:
        yield f"  {text(lang, 'doctor.good')}"


def probe(asked: bytes) -> bytes:
    """`edge doctor -`: JSON in, JSON out, for central's page. {"camera": settings, "lens_degrees"?, "distance_m"?}
    gives Found with `advice` and, where a lens is given, `modules`; or {"refused": why}.
    """
    try:
        told = json.loads(asked)
        camera = CameraSettings.model_validate(told["camera"])
        found, _ = examine(camera)
        answer = asdict(found) | {"advice": [asdict(one) for one in advise(found, camera)]}
        if found.width and "lens_degrees" in told:
            answer["modules"] = modules(found.width, float(told["lens_degrees"]), float(told.get("distance_m", 0.5)))
    except ValidationError as error:
        # never the value: it may be an address with its password
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        answer = {"refused": "; ".join(faults)}
    except (Unusable, ValueError, KeyError, TypeError) as error:
        answer = {"refused": redact(str(error))}
    return json.dumps(answer).encode()


def clock_s(source: str, timeout_s: float = 2.0) -> float | None:
    """How far the camera's clock is ahead of ours, by the `Date` of its answer; None where it says none. RTSP and HTTP
    both have it, and neither wants a password for that.
    """
    parts = urlsplit(source)
    if parts.scheme not in {"rtsp", "http"} or not parts.hostname:
        return None
    ask = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" if parts.scheme == "rtsp" else "HEAD / HTTP/1.0\r\n\r\n"
    try:
        address = parts.hostname, parts.port or {"rtsp": 554, "http": 80}[parts.scheme]
        with socket.create_connection(address, timeout_s) as camera:
            camera.settimeout(timeout_s)
            camera.sendall(ask.encode())
            told = camera.recv(4096).decode(errors="replace")
    except (OSError, ValueError):
        return None
    found = re.search(r"^Date: *(.+?)\r?$", told, re.MULTILINE | re.IGNORECASE)
    if found is None:
        return None
    try:
        return (parsedate_to_datetime(found[1]) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def bundle(settings: EdgeSettings, path: Path) -> None:
    """Findings, the configuration without secrets, what the box counts and has said, and stills in which nobody can be
    known, as a tar file.
    """
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
        folder = Path(settings.data)
        outbox = folder / "outbox.db"
        add("data.txt", f"outbox.db {outbox.stat().st_size if outbox.exists() else 0} bytes\n".encode())
        add("state.txt", _state(folder).encode())
        for log in sorted(folder.glob("edge.log*")):
            add(log.name, redact(log.read_text(encoding="utf-8", errors="replace")).encode())


def _state(folder: Path) -> str:
    """What the box that runs counts, as it tells Prometheus."""
    try:
        url = (folder / "screen.url").read_text(encoding="utf-8").strip()
        return httpx.get(f"{url}metrics", timeout=5, trust_env=False).raise_for_status().text
    except (OSError, httpx.HTTPError) as error:
        return f"the box does not run, or does not say how it is ({type(error).__name__})\n"


def _blurred(frame: Frame) -> bytes:
    height, width = frame.y.shape
    small = cv2.resize(frame.bgr(), (_BLURRED_PX, max(_BLURRED_PX * height // width, 1)), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.resize(small, (640, 640 * height // width)))
    return np.asarray(jpeg).tobytes()
