"""What a camera sent in the last seconds, as it came; a clip is cut from it without encoding anything.

An incident is filmed twice: in fragments as it goes on, so that a power cut leaves a playable file, and then whole.
"""

import contextlib
import hashlib
import io
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from edge.sighting import Footage

PRE_ROLL_SECONDS = 12.0
POST_ROLL_SECONDS = 8.0
FRAGMENT_SECONDS = 1.0
MOST_RECORDINGS = 4
"""At once, of one camera: an escape of many is many incidents and one film of it is enough."""
PART_BYTES = 1 << 20
CLIP_LINES = 720
MOST_BYTES = 32 << 20
"""Of one camera: a stream of 20 Mbit/s still keeps its twelve seconds."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Film:
    """What all packets of one connection have in common."""

    codec: str
    extradata: bytes
    time_base: Fraction


class Unit(NamedTuple):
    """One packet of video, as it came."""

    film: Film
    arrived_s: float
    pts: int | None
    dts: int | None
    key: bool
    data: bytes


class Reel:
    """The ring: whole groups of pictures, so that whatever is cut from it begins at a key frame."""

    def __init__(self, *, seconds: float = PRE_ROLL_SECONDS, most_bytes: int = MOST_BYTES) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._groups: deque[list[Unit]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, unit: Unit) -> None:
        """The next packet. Until the first key frame there is nothing to keep."""
        with self._lock:
            if unit.key:
                self._groups.append([])
            if not self._groups:
                return
            self._groups[-1].append(unit)
            self._bytes += len(unit.data)
            # a group may go once the one after it reaches back far enough
            while len(self._groups) > 1 and (
                self._groups[1][0].arrived_s <= unit.arrived_s - self._seconds or self._bytes > self._most_bytes
            ):
                self._bytes -= sum(len(old.data) for old in self._groups.popleft())
            if self._bytes > self._most_bytes:  # one group alone is too much: what is left of it is no clip
                self._groups.clear()
                self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def cut(self, since_s: float, until_s: float) -> list[Unit]:
        """From the last key frame at or before `since_s` on, of the newest connection alone."""
        with self._lock:
            groups = [list(group) for group in self._groups]
        while len(groups) > 1 and groups[1][0].arrived_s <= since_s:
            groups.pop(0)
        units = [unit for group in groups for unit in group if unit.arrived_s <= until_s]
        return [unit for unit in units if unit.film is units[-1].film]


class Unplayable(ValueError):
    """What was kept is no video that a clip could be made of."""


def _template(units: list[Unit]) -> InputContainer:
    """A stream of the same kind as the packets, for a file to be written like it."""
    film = units[0].film
    sets = film.extradata if film.extradata[:3] in {b"\x00\x00\x00", b"\x00\x00\x01"} else b""
    first = sets + b"".join(unit.data for unit in units[:3])
    try:
        return av.open(io.BytesIO(first), "r", format=film.codec)
    except av.error.FFmpegError as error:
        raise Unplayable("the packets kept are no video that FFmpeg knows") from error


class Muxer:
    """Packets into an MP4. `kind` fragments: each group of pictures is playable as soon as it is written."""

    def __init__(self, units: list[Unit], where: str | BinaryIO, *, fragments: bool) -> None:
        flags = "frag_keyframe+empty_moov+default_base_moof" if fragments else "+faststart"
        self._out = av.open(where, "w", format="mp4", options={"movflags": flags})
        with _template(units) as template:
            self._stream = self._out.add_stream_from_template(template.streams.video[0])
        self._first: int | None = None
        self._last = -1

    def write(self, units: list[Unit]) -> None:
        """In order. Times are the stream's own, from zero; a packet that came without one gets the time it came at."""
        for unit in units:
            time_base = unit.film.time_base
            pts = unit.pts if unit.pts is not None else unit.dts
            if pts is None:
                if self._first is not None:
                    continue
                pts = self._guess(units, time_base)
            self._first = pts if self._first is None else self._first
            dts = max((pts if unit.dts is None else unit.dts) - self._first, self._last + 1)
            packet = Packet(unit.data)
            packet.stream = self._stream
            packet.time_base = time_base
            packet.dts, packet.pts = dts, max(pts - self._first, dts)
            packet.is_keyframe = unit.key
            self._last = dts
            self._out.mux(packet)

    @staticmethod
    def _guess(units: list[Unit], time_base: Fraction) -> int:
        """FFmpeg knows no time of the first packet of an RTSP stream: as long before the second as it came."""
        known = next((unit for unit in units if unit.pts is not None), None)
        if known is None or known.pts is None:
            return 0
        return known.pts - max(round((known.arrived_s - units[0].arrived_s) / time_base), 1)

    def close(self) -> None:
        self._out.close()


def whole_clip(units: list[Unit]) -> bytes:
    """An MP4 that plays from its first byte. H.264 as it came; anything else, which browsers do not play, encoded anew.

    Raises Unplayable.
    """
    file = os.memfd_create("clip")  # FFmpeg reads its file again to put the index first; nothing touches a disk
    try:
        path = f"/proc/self/fd/{file}"
        if units[0].film.codec == "h264":
            muxer = Muxer(units, path, fragments=False)
            muxer.write(units)
            muxer.close()
        else:
            _encode(units, path)
        with open(path, "rb") as clip:  # noqa: PTH123  (a descriptor's own name is no path to resolve)
            return clip.read()
    finally:
        os.close(file)


def _encode(units: list[Unit], path: str) -> None:
    """H.264 of at most 720 lines that every browser plays, pictures at the times at which they were taken."""
    with _template(units) as template:
        decoder = VideoCodecContext.create(units[0].film.codec, "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.extradata = template.streams.video[0].codec_context.extradata
    first: int | None = None
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as out:
        video: VideoStream | None = None
        for unit in units:
            packet = Packet(unit.data)
            packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, unit.film.time_base
            try:
                pictures = decoder.decode(packet)
            except av.error.InvalidDataError:
                continue
            for picture in pictures:
                if picture.pts is None:
                    continue
                height = min(picture.height, CLIP_LINES) // 2 * 2
                width = round(picture.width * height / picture.height / 2) * 2
                if video is None:
                    video = out.add_stream("libx264", rate=15)
                    video.width, video.height, video.pix_fmt = width, height, "yuv420p"
                    video.codec_context.time_base = unit.film.time_base
                    video.options = {"preset": "superfast", "crf": "26", "g": "30", "threads": "1"}
                first = picture.pts if first is None else first
                small = picture.reformat(width=video.width, height=video.height, format="yuv420p")
                small.pts, small.time_base = picture.pts - first, unit.film.time_base
                small.pict_type = PictureType.NONE
                out.mux(video.encode(small))
        if video is None:
            raise Unplayable("no picture of it can be decoded")
        out.mux(video.encode(None))


class _Growing(io.RawIOBase):
    """A file that is taken away as it is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class Recorder:
    """Films incidents of one camera: what came before from the reel, then what follows. `say` gets the footage."""

    def __init__(
        self, camera: str, reel: Reel, say: Callable[[Footage], None], *, post_roll_s: float = POST_ROLL_SECONDS
    ) -> None:
        self._camera = camera
        self._reel = reel
        self._say = say
        self._post_roll_s = post_roll_s
        self._busy = threading.BoundedSemaphore(MOST_RECORDINGS)
        self.refused = 0
        """Incidents that were not filmed because so many others are."""
        self.faults = 0
        """Recordings that could not be made into a clip."""

    def record(self, incident: str, at_s: float, seen_at: datetime) -> None:
        """Begin now, in a thread that ends by itself."""
        if not self._busy.acquire(blocking=False):
            self.refused += 1
            return
        film = threading.Thread(
            target=self._film, args=(incident, at_s, seen_at), name=f"record {self._camera}", daemon=True
        )
        film.start()

    def _film(self, incident: str, at_s: float, seen_at: datetime) -> None:
        try:
            self._follow(incident, at_s, seen_at)
        except (Unplayable, av.error.FFmpegError, OSError, ValueError) as error:
            self.faults += 1
            _log.warning("camera %s: an incident could not be filmed (%s)", self._camera, type(error).__name__)
        finally:
            self._busy.release()

    def _follow(self, incident: str, at_s: float, seen_at: datetime) -> None:
        units = self._reel.cut(at_s - PRE_ROLL_SECONDS, time.monotonic())
        if not units:
            raise Unplayable("nothing was kept")
        began_at = seen_at - timedelta(seconds=at_s - units[0].arrived_s)

        def tell(data: bytes, part: Literal["fragment", "clip"], *, last: bool, original: str | None = None) -> None:
            for start in range(0, max(len(data), 1), PART_BYTES):
                piece = data[start : start + PART_BYTES]
                end = last and start + PART_BYTES >= len(data)
                self._say(
                    Footage(
                        camera=self._camera,
                        incident=incident,
                        part=part,
                        data=piece,
                        last=end,
                        began_at=began_at,
                        seconds=round(units[-1].arrived_s - units[0].arrived_s, 1),
                        original=original,
                    )
                )

        file = _Growing()
        muxer = Muxer(units, cast("BinaryIO", file), fragments=True)
        muxer.write(units)
        tell(file.take(), "fragment", last=False)
        until_s = at_s + self._post_roll_s
        while (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, FRAGMENT_SECONDS))
            newer = [
                unit
                for unit in self._reel.cut(units[-1].arrived_s, until_s)
                if unit.arrived_s > units[-1].arrived_s and unit.film is units[0].film
            ]
            muxer.write(newer)
            units += newer
            if part := file.take():
                tell(part, "fragment", last=False)
        muxer.close()
        original = None
        if units[0].film.codec != "h264":
            original = hashlib.sha256(b"".join(unit.data for unit in units)).hexdigest()
            with contextlib.suppress(OSError):  # what is on the cameras' threads comes first
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        tell(whole_clip(units), "clip", last=True, original=original)
