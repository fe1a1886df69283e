"""RTSP cameras on loopback: clips served in an endless loop in real time, H.264 over one TCP connection.

`python -m scripts.city.rtsp CLIP` serves one clip and prints its address.
"""

import argparse
import asyncio
import base64
import logging
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import av
from av.bitstream import BitStreamFilterContext

RTP_HZ = 90_000
PAYLOAD_TYPE = 96
PACKET_BYTES = 1400
SLOW_BYTES = 1_000_000
"""A viewer with this much unsent misses pictures until the next key frame."""
LOG_LENGTH = 4096
OK = "200 OK"
_NAL_SPS, _NAL_PPS, _NAL_FU_A = 7, 8, 28

_log = logging.getLogger(__name__)


class Unservable(ValueError):
    """The clip is not one that this server can send; the message says why."""


class Sent(NamedTuple):
    """One picture as it left: which loop, which picture of the clip, when on the monotonic clock."""

    loop: int
    frame: int
    at_s: float


@dataclass(frozen=True)
class Picture:
    units: tuple[bytes, ...]
    """NAL units without start codes."""
    due_ticks: int
    shown_ticks: int
    key: bool


@dataclass(frozen=True)
class Clip:
    pictures: tuple[Picture, ...]
    ticks: int
    """Length of one loop."""
    sps: bytes
    pps: bytes

    @property
    def rate(self) -> float:
        return len(self.pictures) * RTP_HZ / self.ticks


def _units(annexb: bytes) -> tuple[bytes, ...]:
    """NAL units of a byte stream; a unit never ends in a zero byte."""
    return tuple(unit for part in annexb.split(b"\x00\x00\x01") if (unit := part.rstrip(b"\x00")))


def read_clip(path: Path) -> Clip:
    """Every picture of an H.264 file, nothing encoded anew. Raises Unservable, or av's error when it is no video."""
    with av.open(str(path)) as container:
        if not container.streams.video or container.streams.video[0].codec_context.name != "h264":
            raise Unservable(f"{path}: holds no H.264 video; encode it with libx264")
        video = container.streams.video[0]
        to_ticks = float((video.time_base or 0) * RTP_HZ)
        step = RTP_HZ / float(video.average_rate or 25)
        annexb = BitStreamFilterContext("h264_mp4toannexb", video)
        pictures: list[Picture] = []
        for packet in container.demux(video):
            for part in annexb.filter(packet if packet.size else None):
                count = len(pictures)  # a bare stream has no clock: its pictures are evenly spaced
                due = round(count * step if part.dts is None else part.dts * to_ticks)
                shown = due if part.pts is None else round(part.pts * to_ticks)
                pictures.append(Picture(_units(bytes(part)), due, shown, part.is_keyframe))
    if not pictures or not pictures[0].key:
        raise Unservable(f"{path}: does not begin with a key frame")
    first = pictures[0]
    sets = {unit[0] & 31: unit for unit in first.units}
    if _NAL_SPS not in sets or _NAL_PPS not in sets:
        raise Unservable(f"{path}: its first key frame carries no parameter sets")
    shifted = tuple(
        Picture(one.units, one.due_ticks - first.due_ticks, one.shown_ticks - first.due_ticks, one.key)
        for one in pictures
    )
    return Clip(shifted, shifted[-1].due_ticks + round(step), sets[_NAL_SPS], sets[_NAL_PPS])


def packets(units: tuple[bytes, ...]) -> list[bytes]:
    """RTP payloads of one picture: small units whole, large ones in fragments (FU-A)."""
    payloads: list[bytes] = []
    for unit in units:
        if len(unit) <= PACKET_BYTES:
            payloads.append(unit)
            continue
        indicator, kind = (unit[0] & 0xE0) | _NAL_FU_A, unit[0] & 31
        body, room = unit[1:], PACKET_BYTES - 2
        for start in range(0, len(body), room):
            flags = (0x80 if start == 0 else 0) | (0x40 if start + room >= len(body) else 0)
            payloads.append(bytes((indicator, flags | kind)) + body[start : start + room])
    return payloads


@dataclass(eq=False)
class _Viewer:
    writer: asyncio.StreamWriter
    channel: int = 0
    sequence: int = 0
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    waits_for_key: bool = True

    def show(self, picture: Picture, payloads: list[bytes], stamp: int) -> None:
        if self.writer.transport.get_write_buffer_size() > SLOW_BYTES:
            self.waits_for_key = True
            return
        if self.waits_for_key and not picture.key:
            return
        self.waits_for_key = False
        out = bytearray()
        for number, payload in enumerate(payloads):
            marker = 0x80 if number == len(payloads) - 1 else 0
            out += struct.pack("!cBH", b"$", self.channel, 12 + len(payload))
            out += struct.pack("!BBHII", 0x80, marker | PAYLOAD_TYPE, self.sequence, stamp & 0xFFFFFFFF, self.ssrc)
            out += payload
            self.sequence = (self.sequence + 1) & 0xFFFF
        self.writer.write(bytes(out))


class _Stream:
    """One clip that plays for ever, watched or not, as a camera does."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.viewers: set[_Viewer] = set()
        self.sent: deque[Sent] = deque(maxlen=LOG_LENGTH)
        self.paused = False

    async def play(self) -> None:
        begun_s = time.monotonic()
        base, loop = secrets.randbits(32), 0
        cut = [packets(picture.units) for picture in self.clip.pictures]
        while True:
            for number, picture in enumerate(self.clip.pictures):
                ticks = loop * self.clip.ticks + picture.due_ticks
                await asyncio.sleep(max(begun_s + ticks / RTP_HZ - time.monotonic(), 0.0))
                if self.paused:
                    for viewer in self.viewers:
                        viewer.waits_for_key = True
                    continue
                self.sent.append(Sent(loop, number, time.monotonic()))
                stamp = base + loop * self.clip.ticks + picture.shown_ticks
                for viewer in tuple(self.viewers):
                    viewer.show(picture, cut[number], stamp)
            loop += 1

    def sdp(self) -> str:
        clip = self.clip
        sets = ",".join(base64.b64encode(unit).decode() for unit in (clip.sps, clip.pps))
        profile = clip.sps[1:4].hex()
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=clip",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=control:*",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{RTP_HZ}",
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sets}",
            f"a=framerate:{clip.rate:.3f}",
            "a=control:track0",
        ]
        return "\r\n".join(lines) + "\r\n"


class _Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


async def _request(reader: asyncio.StreamReader) -> _Request | None:
    """The next request; a viewer's RTCP reports between them are passed over. None at the end."""
    while True:
        first = await reader.readexactly(1)
        if first == b"$":
            _, length = struct.unpack("!BH", await reader.readexactly(3))
            await reader.readexactly(length)
            continue
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace").strip().split("\r\n")
        words = head[0].split(" ")
        if len(words) != 3:
            return None
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        length = headers.get("content-length", "0")
        await reader.readexactly(int(length) if length.isdigit() else 0)
        return _Request(words[0], urlsplit(words[1]).path.strip("/"), headers)


class RtspServer:
    """Cameras on loopback, in a thread of their own.

    `pause`, `resume` and `cut` make a camera fail as real ones do; `sent` tells when each picture left.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, user: str | None = None, password: str | None = None
    ) -> None:
        """Port 0 picks a free one, which is kept over `stop` and `start`."""
        self._host = host
        self._port = port
        self._basic = None
        if user is not None and password is not None:
            self._basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._streams: dict[str, _Stream] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, path: str, clip: Path) -> None:
        """Serve `clip` at `path`, before `start` or while it runs. Raises Unservable."""
        stream = _Stream(read_clip(clip))
        self._streams[path] = stream
        if self._loop is not None:
            self._await(self._launch(stream))

    def url(self, path: str) -> str:
        """Without user and password."""
        return f"rtsp://{self._host}:{self._port}/{path}"

    def start(self) -> None:
        """Return once it listens."""
        assert self._thread is None, "the server already runs"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rtsp server", daemon=True)
        self._thread.start()
        self._await(self._open())

    def stop(self) -> None:
        """Close everything; the port is free afterwards."""
        if self._loop is None or self._thread is None:
            return
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def sent(self, path: str) -> deque[Sent]:
        """The last pictures that left, oldest first."""
        return self._streams[path].sent

    def viewers(self, path: str) -> int:
        return len(self._streams[path].viewers)

    def pause(self, path: str) -> None:
        """The connection stays, no picture comes: a frozen camera."""
        self._streams[path].paused = True

    def resume(self, path: str) -> None:
        """Viewers go on at the next key frame."""
        self._streams[path].paused = False

    def cut(self, path: str) -> None:
        """Close the connection of everybody who watches."""
        self._await(self._cut(path))

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None, "start the server first"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _cut(self, path: str) -> None:
        for viewer in tuple(self._streams[path].viewers):
            viewer.writer.transport.abort()

    async def _launch(self, stream: _Stream) -> None:
        task = asyncio.create_task(stream.play())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        for stream in self._streams.values():
            await self._launch(stream)

    async def _close(self) -> None:
        assert self._server is not None, "start the server first"
        self._server.close()
        for path in self._streams:
            await self._cut(path)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio serves in a task"
        self._tasks.add(task)
        viewer = _Viewer(writer)
        try:
            while (request := await _request(reader)) is not None:
                self._answer(request, viewer)
                await writer.drain()
                if request.method == "TEARDOWN":
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            _log.debug("a viewer went away")
        except asyncio.CancelledError:
            _log.debug("the server stops")  # asyncio's own callback would log a cancelled connection as a fault
        finally:
            for stream in self._streams.values():
                stream.viewers.discard(viewer)
            self._tasks.discard(task)
            writer.transport.abort()

    def _answer(self, request: _Request, viewer: _Viewer) -> None:
        status, headers, body = self._decide(request, viewer)
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', '0')}", *headers]
        if body:
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        viewer.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        if request.method == "PLAY" and status == OK:
            stream = self._find(request.path)
            assert stream is not None, "PLAY was answered with 200"
            stream.viewers.add(viewer)

    def _find(self, path: str) -> _Stream | None:
        """A request names the stream, or its track below it."""
        return self._streams.get(path) or self._streams.get(path.rpartition("/")[0])

    def _decide(self, request: _Request, viewer: _Viewer) -> tuple[str, list[str], str]:
        """Status, headers and body of the answer."""
        if request.method == "OPTIONS":
            return OK, ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"], ""
        if self._basic is not None and request.headers.get("authorization") != self._basic:
            return "401 Unauthorized", ['WWW-Authenticate: Basic realm="camera"'], ""
        stream = self._find(request.path)
        if stream is None:
            return "404 Not Found", [], ""
        session = f"Session: {viewer.ssrc:08x};timeout=60"
        if request.method == "DESCRIBE":
            return OK, [f"Content-Base: {self.url(request.path)}/"], stream.sdp()
        if request.method == "SETUP":
            transport = request.headers.get("transport", "")
            channel = transport.partition("interleaved=")[2].partition("-")[0]
            viewer.channel = int(channel) if channel.isdigit() and int(channel) < 255 else 0
            chosen = f"interleaved={viewer.channel}-{viewer.channel + 1}"
            by_tcp = "RTP/AVP/TCP" in transport
            answer = (OK, [f"Transport: RTP/AVP/TCP;unicast;{chosen}", session], "")
            return answer if by_tcp else ("461 Unsupported Transport", [], "")
        known = request.method in {"PLAY", "GET_PARAMETER", "TEARDOWN"}
        return (OK, [session], "") if known else ("501 Not Implemented", [], "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.city.rtsp", description=__doc__)
    parser.add_argument("clip", type=Path, help="a file with H.264 video")
    parser.add_argument("--port", type=int, default=8554, help="0 picks a free one")
    parser.add_argument("--path", default="cam", help="the stream's name in the address")
    arguments = parser.parse_args()
    server = RtspServer(port=arguments.port)
    try:
        server.add(arguments.path, arguments.clip)
        server.start()
    except (Unservable, OSError) as error:
        parser.exit(2, f"{error}\n")
    print(server.url(arguments.path), flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
