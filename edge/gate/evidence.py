"""Pictures and films that prove a breach, on disk until central has them. A name is the SHA-256 of its content.

A breach's picture and its manifest are on the disk before the event that names them, and leave after central's
yes. Its film grows on the disk in fragments that play as they are; a second manifest follows once it is whole.
"""

import hashlib
import logging
import os
import random
import re
import ssl
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
from msgspec import UNSET, Struct, UnsetType

from edge.gate.signer import Signer
from edge.sighting import Footage
from models.wire.events import ZoneBreached

log = logging.getLogger(__name__)

_FIRST_BACK_OFF_S = 0.5
_LAST_BACK_OFF_S = 30.0
_PART_BYTES = 1 << 20
"""What is larger goes up in parts, so that a broken line costs one of them."""
_COUNTERSIGNED_BYTES = 4 << 20
"""Some twenty thousand breaches; then the older half goes."""
_INCIDENT = re.compile(r"[0-9a-f]{1,64}")


class Manifest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What belongs to one event. Its own hash is the event's `dataref`."""

    event: str
    camera: str
    incident: str
    snapshot: str
    """SHA-256 of the JPEG."""
    taken_at: datetime
    clip: str | UnsetType = UNSET
    """SHA-256 of the MP4."""
    clip_from: datetime | UnsetType = UNSET
    whole: bool | UnsetType = UNSET
    """False: the recording was cut short; what there is of it is the clip."""
    original: str | UnsetType = UNSET
    """SHA-256 of the camera's own packets, where the clip was encoded anew for browsers."""
    follows: str | UnsetType = UNSET
    """The manifest of the same event that this one completes."""
    sequence: int
    """Counts this box's manifests: a gap is a manifest that somebody took away."""
    signer: str
    signature: str = msgspec.field(default="")
    """Ed25519 over this very text with an empty signature."""


class Recording(Struct, frozen=True, kw_only=True):
    """What a film in progress belongs to, beside it on the disk."""

    follows: str
    event: str
    snapshot: str
    taken_at: datetime
    breach: ZoneBreached
    camera: str
    began_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Filmed:
    """A film is on the disk: the news for central."""

    camera: str
    breach: ZoneBreached
    dataref: str


def _keep(path: Path, content: bytes) -> None:
    """Durable under its final name, or not there at all. The folder's own entry is synced by the caller."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _whole_bytes(film: Path) -> int:
    """How much of a film that grows in fragments plays: to the end of the last pictures that were written entirely."""
    size, at, whole = film.stat().st_size, 0, 0
    with film.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length < 8 or at + length > size:
                break
            at += length
            whole = at if kind == b"mdat" else whole
    return whole


class Evidence:
    """The spool and its upload thread."""

    def __init__(
        self, folder: Path, http: str, signer: Signer, *, cap_bytes: int = 1 << 30, known: ssl.SSLContext | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._signer = signer
        self._client = httpx.Client(base_url=http, timeout=10.0, trust_env=False, verify=known or True)
        self._cap_bytes = cap_bytes
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._recordings: dict[tuple[str, str], Recording] = {}
        self.dropped = 0
        """Breaches whose picture or film made room for newer ones."""
        self.refused = 0
        """Uploads that central answered with an error; each is tried again."""
        self.uploaded = 0
        self.strange_films = 0
        """Pieces of film that belong to no breach."""
        self.adopted = self._adopt()
        """Films that a crash cut short; whoever starts us tells central of them."""
        self._tidy()
        self._thread = threading.Thread(target=self._upload_all, name="evidence", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._manifests())

    def put(self, jpeg: bytes, *, event: str, camera: str, breach: ZoneBreached, taken_at: datetime) -> str:
        """Keep the picture; returns the manifest's hash, the event's `dataref`. A film of it may follow."""
        snapshot = hashlib.sha256(jpeg).hexdigest()
        with self._lock:
            _keep(self._folder / f"{snapshot}.jpg", jpeg)
            name = self._write(
                Manifest(
                    event=event,
                    camera=camera,
                    incident=breach.incident,
                    snapshot=snapshot,
                    taken_at=taken_at,
                    sequence=self._next(),
                    signer=self._signer.public,
                )
            )
            if _INCIDENT.fullmatch(breach.incident):
                self._recordings[camera, breach.incident] = Recording(
                    follows=name, event=event, snapshot=snapshot, taken_at=taken_at, breach=breach, camera=camera
                )
                while len(self._recordings) > 256:  # of breaches that nobody filmed
                    del self._recordings[next(iter(self._recordings))]
        self._wake.set()
        return name

    def heard(self, camera: str, breach: ZoneBreached) -> None:
        """A later word of the same incident: its film is told of with the newest one."""
        with self._lock:
            known = self._recordings.get((camera, breach.incident))
            if known is not None:
                self._recordings[camera, breach.incident] = msgspec.structs.replace(known, breach=breach)

    def film(self, piece: Footage) -> Filmed | None:
        """Keep a piece; the film when it was the last one."""
        with self._lock:
            recording = self._recordings.get((piece.camera, piece.incident))
            if recording is None:
                self.strange_films += 1
                return None
            if recording.began_at is None:
                recording = msgspec.structs.replace(recording, began_at=piece.began_at)
                self._recordings[piece.camera, piece.incident] = recording
                _keep(self._folder / f"{piece.incident}.recording", msgspec.json.encode(recording))
            path = self._folder / f"{piece.incident}.{'film' if piece.part == 'fragment' else 'clip'}"
            _append(path, piece.data)
            if not piece.last:
                return None
            return self._finish(recording, path, original=piece.original)

    def countersigned(self, names: Mapping[str, str]) -> None:
        """Central has these: its signature and when. The box keeps its own proof of that, newest last."""
        with self._lock:
            lines = [msgspec.json.encode({"countersigned": {name: said}}) + b"\n" for name, said in names.items()]
            path = self._folder.parent / "countersigned.jsonl"
            if path.exists() and path.stat().st_size > _COUNTERSIGNED_BYTES:
                path.replace(path.with_suffix(".old.jsonl"))
            _append(path, b"".join(lines))

    def cut_short(self, cameras: set[str]) -> list[Filmed]:
        """The eye of these cameras has died: what there is of their films is all there will be."""
        with self._lock:
            found = [recording for (camera, _), recording in self._recordings.items() if camera in cameras]
            return [filmed for recording in found if (filmed := self._cut(recording)) is not None]

    def _cut(self, recording: Recording) -> Filmed | None:
        path = self._folder / f"{recording.breach.incident}.film"
        if not path.exists() or not (whole := _whole_bytes(path)):
            return None
        os.truncate(path, whole)
        return self._finish(recording, path, original=None, whole=False)

    def _finish(self, recording: Recording, path: Path, *, original: str | None, whole: bool = True) -> Filmed:
        """The film gets its name and its manifest, in an order in which a crash at any point loses neither."""
        incident = recording.breach.incident
        clip = _digest(path)
        final = self._folder / f"{clip}.mp4"
        if not final.exists():
            os.link(path, final)
        dataref = self._write(
            Manifest(
                event=recording.event,
                camera=recording.camera,
                incident=incident,
                snapshot=recording.snapshot,
                taken_at=recording.taken_at,
                clip=clip,
                clip_from=UNSET if recording.began_at is None else recording.began_at,
                whole=whole,
                original=UNSET if original is None else original,
                follows=recording.follows,
                sequence=self._next(),
                signer=self._signer.public,
            )
        )
        for suffix in ("recording", "film", "clip"):
            (self._folder / f"{incident}.{suffix}").unlink(missing_ok=True)
        self._recordings.pop((recording.camera, incident), None)
        self._wake.set()
        return Filmed(camera=recording.camera, breach=recording.breach, dataref=dataref)

    def _write(self, manifest: Manifest) -> str:
        unsigned = msgspec.json.encode(manifest)[:-1] + b',"signature":"'
        text = unsigned + self._signer.sign(unsigned + b'"}').encode() + b'"}'
        name = hashlib.sha256(text).hexdigest()
        _keep(self._folder / f"{name}.json", text)
        entry = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
        self._make_room()
        return name

    def _next(self) -> int:
        path = self._folder / "sequence"
        number = int(path.read_text()) + 1 if path.exists() else 1
        _keep(path, str(number).encode())
        return number

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

    def _adopt(self) -> list[Filmed]:
        """Films that were in progress when the box died."""
        found = []
        for path in sorted(self._folder.glob("*.recording")):
            try:
                recording = msgspec.json.decode(path.read_bytes(), type=Recording)
            except msgspec.MsgspecError:
                path.unlink()
                self.dropped += 1
                continue
            filmed = self._cut(recording)
            if filmed is not None:
                found.append(filmed)
        return found

    def _parts(self, manifest: Manifest) -> list[Path]:
        """The files that a manifest tells of."""
        found = [self._folder / f"{manifest.snapshot}.jpg"]
        return found if manifest.clip is UNSET else [*found, self._folder / f"{manifest.clip}.mp4"]

    def _tidy(self) -> None:
        """What a power cut left half done: parts, and files that no manifest names."""
        named = {part for manifest in map(self._read, self._manifests()) if manifest for part in self._parts(manifest)}
        for path in self._folder.iterdir():
            half = path.suffix in {".part", ".film", ".clip", ".recording"}
            if half or (path.suffix in {".jpg", ".mp4"} and path not in named):
                path.unlink()

    def _make_room(self) -> None:
        size = sum(path.stat().st_size for path in self._folder.iterdir())
        for path in self._manifests()[:-1]:
            if size <= self._cap_bytes:
                return
            size -= self._forget(path, self._read(path))
            self.dropped += 1
            log.warning("evidence: no room, the oldest of it is dropped (%d so far)", self.dropped)

    def _forget(self, path: Path, manifest: Manifest | None) -> int:
        """Bytes that came free. The parts go first: a manifest without them is still tidy."""
        files = [path]
        if manifest is not None:
            others = [self._read(other) for other in self._manifests() if other != path]
            shared = {part for other in others if other is not None for part in self._parts(other)}
            files = [part for part in self._parts(manifest) if part not in shared] + files
        freed = 0
        for file in files:
            if file.exists():
                freed += file.stat().st_size
                file.unlink()
        return freed

    def _send(self, path: Path) -> bool:
        """What the manifest tells of, then itself. True when central has all of it."""
        with self._lock:
            manifest = self._read(path)
            if manifest is None:
                return True
            parts = [*(part for part in self._parts(manifest) if part.exists()), path]
        for part in parts:
            if not self._put(part):
                self.refused += 1
                return False
        with self._lock:
            self._forget(path, manifest)
        self.uploaded += 1
        return True

    def _put(self, path: Path) -> bool:
        where, size = f"/evidence/{path.stem}", path.stat().st_size
        if size <= _PART_BYTES:
            return self._is_yes(self._client.put(where, content=path.read_bytes()))
        answer = self._client.head(where)
        while not answer.is_success or answer.status_code == httpx.codes.ACCEPTED:
            at = int(answer.headers.get("Upload-Offset", size))
            if at >= size or self._closing.is_set():
                return self._is_yes(answer)
            with path.open("rb") as file:
                file.seek(at)
                part = file.read(_PART_BYTES)
            told = {"Content-Range": f"bytes {at}-{at + len(part) - 1}/{size}"}
            answer = self._client.put(where, content=part, headers=told)
            if int(answer.headers.get("Upload-Offset", size)) <= at:
                return self._is_yes(answer)  # it does not grow: better luck later
        return True

    @staticmethod
    def _is_yes(answer: httpx.Response) -> bool:
        if not answer.is_success:
            log.warning("evidence: central answered %d; trying again later", answer.status_code)
        return answer.is_success and answer.status_code != httpx.codes.ACCEPTED

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
