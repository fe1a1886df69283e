"""Pictures that prove a breach, on disk until central has them. Content-addressed: a name is the SHA-256 of its bytes.

A breach's picture and its manifest are on the disk before the event that names them, and leave after central's
yes.
"""

import hashlib
import logging
import os
import random
import threading
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
from msgspec import Struct

log = logging.getLogger(__name__)

_FIRST_BACK_OFF_S = 0.5
_LAST_BACK_OFF_S = 30.0


class Manifest(Struct, frozen=True, kw_only=True):
    """What a picture proves. Its own hash is the event's `dataref`."""

    event: str
    camera: str
    incident: str
    snapshot: str
    """SHA-256 of the JPEG."""
    taken_at: datetime


def _keep(path: Path, content: bytes) -> None:
    """Durable under its final name, or not there at all. The folder's own entry is synced by the caller."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Evidence:
    """The spool and its upload thread."""

    def __init__(self, folder: Path, http: str, *, cap_bytes: int = 1 << 30) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._client = httpx.Client(base_url=http, timeout=10.0, trust_env=False)
        self._cap_bytes = cap_bytes
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self.dropped = 0
        """Breaches whose picture made room for newer ones."""
        self.refused = 0
        """Uploads that central answered with an error; each is tried again."""
        self.uploaded = 0
        self._tidy()
        self._thread = threading.Thread(target=self._upload_all, name="evidence", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._manifests())

    def put(self, jpeg: bytes, *, event: str, camera: str, incident: str, taken_at: datetime) -> str:
        """Keep the picture; returns the manifest's hash, the event's `dataref`."""
        snapshot = hashlib.sha256(jpeg).hexdigest()
        manifest = msgspec.json.encode(
            Manifest(event=event, camera=camera, incident=incident, snapshot=snapshot, taken_at=taken_at)
        )
        name = hashlib.sha256(manifest).hexdigest()
        with self._lock:
            _keep(self._folder / f"{snapshot}.jpg", jpeg)
            _keep(self._folder / f"{name}.json", manifest)
            entry = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(entry)
            finally:
                os.close(entry)
            self._make_room()
        self._wake.set()
        return name

    def close(self, timeout_s: float = 1.0) -> None:
        """An upload that hangs is left alone: what it carries is still on the disk."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._client.close()

    def _manifests(self) -> list[Path]:
        """Oldest first."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                found.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                continue  # uploaded meanwhile
        return [path for _, path in sorted(found)]

    def _read(self, path: Path) -> Manifest | None:
        """None when the file is no manifest: it cannot prove anything and goes."""
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == path.stem:
                return msgspec.json.decode(content, type=Manifest)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            pass
        log.error("evidence %s is damaged and is left out; check the disk", path.name)
        path.unlink(missing_ok=True)
        self.dropped += 1
        return None

    def _tidy(self) -> None:
        """What a power cut left half done: parts, and pictures that no manifest names."""
        named = {manifest.snapshot for manifest in map(self._read, self._manifests()) if manifest}
        for path in self._folder.iterdir():
            if path.suffix == ".part" or (path.suffix == ".jpg" and path.stem not in named):
                path.unlink()

    def _make_room(self) -> None:
        size = sum(path.stat().st_size for path in self._folder.iterdir())
        for path in self._manifests()[:-1]:
            if size <= self._cap_bytes:
                return
            size -= self._forget(path, self._read(path))
            self.dropped += 1
            log.warning("evidence: no room, the oldest picture is dropped (%d so far)", self.dropped)

    def _forget(self, path: Path, manifest: Manifest | None) -> int:
        """Bytes that came free. The picture goes first: a manifest without one is still tidy."""
        files = [path] if manifest is None else [self._folder / f"{manifest.snapshot}.jpg", path]
        freed = 0
        for file in files:
            if file.exists():
                freed += file.stat().st_size
                file.unlink()
        return freed

    def _send(self, path: Path) -> bool:
        """The picture, then its manifest. True when central has both."""
        with self._lock:
            manifest = self._read(path)
            if manifest is None:
                return True
            picture = self._folder / f"{manifest.snapshot}.jpg"
            parts = [(manifest.snapshot, picture.read_bytes())] if picture.exists() else []
            parts.append((path.stem, path.read_bytes()))
        for name, content in parts:
            answer = self._client.put(f"/evidence/{name}", content=content)
            if not answer.is_success:
                self.refused += 1
                log.warning("evidence: central answered %d; trying again later", answer.status_code)
                return False
        with self._lock:
            self._forget(path, manifest)
        self.uploaded += 1
        return True

    def _upload_all(self) -> None:
        back_off = _FIRST_BACK_OFF_S
        while not self._closing.is_set():
            self._wake.clear()
            try:
                done = [self._send(path) for path in self._manifests() if not self._closing.is_set()]
            except httpx.HTTPError as error:
                log.info("evidence: central is not reached (%s)", type(error).__name__)
                done = [False]
            if all(done):
                back_off = _FIRST_BACK_OFF_S
                self._wake.wait()
            else:
                self._closing.wait(back_off * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
                back_off = min(back_off * 2, _LAST_BACK_OFF_S)
