"""RTSP cameras on loopback: clips served in an endless loop in real time, H.264 or H.265, over TCP or UDP.

`fail` makes a camera misbehave as real ones do. `python -m scripts.city.rtsp CLIP` serves one clip and prints its
address.
"""

import argparse
import asyncio
import base64
import logging
import random
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple
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
TRICKLE_SECONDS = 0.2
REPORT_SECONDS = 0.5
JUMP_TICKS = 3600 * RTP_HZ

Fault = Literal[
    "frozen",  # the connection stays, nothing comes
    "reports",  # as frozen, but RTCP reports keep coming
    "trickle",  # a picture comes byte by byte
    "black-hole",  # accepts and never answers again, as a camera that has lost its power: old connections stay dead
    "slow",  # answers byte by byte
    "reset",  # every connection ends in a TCP reset
    "unauthorised",
    "not-found",
    "garbage",  # pictures of noise
    "damaged",  # some bytes of some pictures are wrong
    "lossy",  # some packets never leave
    "jump",  # the stream's clock leaps by an hour
    "resize",  # pictures of another size, from the next key frame on
]
FAULTS: tuple[Fault, ...] = Fault.__args__  # type: ignore[attr-defined]  # a Literal's own values

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
    payloads: tuple[bytes, ...]
    """The same cut for RTP."""
    due_ticks: int
    shown_ticks: int
    key: bool


@dataclass(frozen=True)
class Codec:
    """How one kind of video travels in RTP."""

    name: str
    annexb: str
    """FFmpeg's filter to a byte stream."""
    sets: tuple[tuple[str, int], ...]
    """Parameter sets: their name in the SDP and their NAL type."""
    head: int
    """Bytes of a NAL unit's own header."""
    fragment: int
    """NAL type of a fragment."""

    def kind(self, unit: bytes) -> int:
        return unit[0] & 31 if self.head == 1 else (unit[0] >> 1) & 63

    def fragment_head(self, unit: bytes) -> bytes:
        if self.head == 1:
            return bytes(((unit[0] & 0xE0) | self.fragment,))
        return bytes(((unit[0] & 0x81) | (self.fragment << 1), unit[1]))


H264 = Codec("H264", "h264_mp4toannexb", (("sps", 7), ("pps", 8)), 1, 28)
H265 = Codec("H265", "hevc_mp4toannexb", (("vps", 32), ("sps", 33), ("pps", 34)), 2, 49)
_CODECS = {"h264": H264, "hevc": H265}


@dataclass(frozen=True)
class Clip:
    pictures: tuple[Picture, ...]
    ticks: int
    """Length of one loop."""
    codec: Codec
    sets: dict[str, bytes]

    @property
    def rate(self) -> float:
        return len(self.pictures) * RTP_HZ / self.ticks


def _units(annexb: bytes) -> tuple[bytes, ...]:
    """NAL units of a byte stream; a unit never ends in a zero byte."""
    return tuple(unit for part in annexb.split(b"\x00\x00\x01") if (unit := part.rstrip(b"\x00")))


def read_clip(path: Path) -> Clip:
    """Every picture of a file, nothing encoded anew. Raises Unservable, or av's error when it is no video."""
    with av.open(str(path)) as container:
        if not container.streams.video or container.streams.video[0].codec_context.name not in _CODECS:
            raise Unservable(f"{path}: holds no H.264 or H.265 video; encode it with libx264")
        video = container.streams.video[0]
        codec = _CODECS[video.codec_context.name]
        to_ticks = float((video.time_base or 0) * RTP_HZ)
        step = RTP_HZ / float(video.average_rate or 25)
        annexb = BitStreamFilterContext(codec.annexb, video)
        pictures: list[Picture] = []
        for packet in container.demux(video):
            for part in annexb.filter(packet if packet.size else None):
                count = len(pictures)  # a bare stream has no clock: its pictures are evenly spaced
                due = round(count * step if part.dts is None else part.dts * to_ticks)
                shown = due if part.pts is None else round(part.pts * to_ticks)
                units = _units(bytes(part))
                pictures.append(Picture(units, tuple(packets(units, codec)), due, shown, part.is_keyframe))
    if not pictures or not pictures[0].key:
        raise Unservable(f"{path}: does not begin with a key frame")
    first = pictures[0]
    kinds = {codec.kind(unit): unit for unit in first.units}
    if any(kind not in kinds for _, kind in codec.sets):
        raise Unservable(f"{path}: its first key frame carries no parameter sets")
    shifted = tuple(
        replace(one, due_ticks=one.due_ticks - first.due_ticks, shown_ticks=one.shown_ticks - first.due_ticks)
        for one in pictures
    )
    sets = {name: kinds[kind] for name, kind in codec.sets}
    return Clip(shifted, shifted[-1].due_ticks + round(step), codec, sets)


def packets(units: tuple[bytes, ...], codec: Codec) -> list[bytes]:
    """RTP payloads of one picture: small units whole, large ones in fragments."""
    payloads: list[bytes] = []
    for unit in units:
        if len(unit) <= PACKET_BYTES:
            payloads.append(unit)
            continue
        head, kind = codec.fragment_head(unit), codec.kind(unit)
        body, room = unit[codec.head :], PACKET_BYTES - len(head) - 1
        for start in range(0, len(body), room):
            flags = (0x80 if start == 0 else 0) | (0x40 if start + room >= len(body) else 0)
            payloads.append(head + bytes((flags | kind,)) + body[start : start + room])
    return payloads


@dataclass(eq=False)
class _Viewer:
    writer: asyncio.StreamWriter
    channel: int = 0
    datagrams: tuple[socket.socket, tuple[str, int]] | None = None
    """Where the pictures go when the viewer asked for UDP."""
    sequence: int = 0
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    waits_for_key: bool = True
    tail: bytes = b""
    """What a trickling camera still owes of its picture."""

    def show(
        self, picture: Picture, payloads: tuple[bytes, ...], stamp: int, *, lossy: random.Random | None = None
    ) -> None:
        if self.writer.transport.get_write_buffer_size() > SLOW_BYTES:
            self.waits_for_key = True
            return
        if self.waits_for_key and not picture.key:
            return
        self.waits_for_key = False
        sent = []
        for number, payload in enumerate(payloads):
            marker = 0x80 if number == len(payloads) - 1 else 0
            head = struct.pack("!BBHII", 0x80, marker | PAYLOAD_TYPE, self.sequence, stamp & 0xFFFFFFFF, self.ssrc)
            if lossy is None or lossy.random() > 0.05:
                sent.append(head + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
        if self.datagrams is None:
            self.writer.write(self.tail + b"".join(map(self._interleaved, sent)))
            self.tail = b""
            return
        via, there = self.datagrams
        for packet in sent:
            via.sendto(packet, there)

    def _interleaved(self, packet: bytes, channel: int = 0) -> bytes:
        return struct.pack("!cBH", b"$", self.channel + channel, len(packet)) + packet

    def trickle(self, payloads: tuple[bytes, ...], stamp: int) -> None:
        """The next byte of a picture that would take for ever."""
        if not self.tail:
            head = struct.pack("!BBHII", 0x80, PAYLOAD_TYPE, self.sequence, stamp & 0xFFFFFFFF, self.ssrc)
            self.tail = self._interleaved(head + payloads[0])
            self.waits_for_key = True
        self.writer.write(self.tail[:1])
        self.tail = self.tail[1:]

    def report(self) -> None:
        """An RTCP sender report without a picture to it."""
        body = struct.pack("!BBHIIIIII", 0x80, 200, 6, self.ssrc, 0, 0, 0, 0, 0)
        self.writer.write(self._interleaved(body, 1))

    def close(self) -> None:
        if self.datagrams is not None:
            self.datagrams[0].close()
        self.writer.transport.abort()


class _Stream:
    """One clip that plays for ever, watched or not, as a camera does."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.other: Clip | None = None
        """What it plays when it is set to another size."""
        self.viewers: set[_Viewer] = set()
        self.sent: deque[Sent] = deque(maxlen=LOG_LENGTH)
        self.fault: Fault | None = None
        self._chance = random.Random(7)
        self._shift = secrets.randbits(32)

    async def play(self) -> None:
        begun_s, ticks, loop = time.monotonic(), 0, 0
        while True:
            clip = self._playing
            for number, picture in enumerate(clip.pictures):
                await asyncio.sleep(max(begun_s + (ticks + picture.due_ticks) / RTP_HZ - time.monotonic(), 0.0))
                if picture.key and self._playing is not clip:
                    ticks += picture.due_ticks
                    break
                self._send(clip, loop, number, self._shift + ticks)
            else:
                ticks += clip.ticks
            loop += 1

    @property
    def _playing(self) -> Clip:
        return self.other if self.fault == "resize" and self.other else self.clip

    def _send(self, clip: Clip, loop: int, number: int, base: int) -> None:
        picture = clip.pictures[number]
        stamp = base + picture.shown_ticks
        if self.fault in {"frozen", "black-hole", "reports"}:
            for viewer in self.viewers:
                viewer.waits_for_key = True
            return
        units = picture.units
        if self.fault == "garbage" or (self.fault == "damaged" and self._chance.random() < 0.3):
            units = tuple(self._spoil(unit) for unit in units)
        elif self.fault == "jump":
            stamp += JUMP_TICKS
        cut = picture.payloads if units is picture.units else tuple(packets(units, clip.codec))
        if self.fault != "trickle":
            self.sent.append(Sent(loop, number, time.monotonic()))
        for viewer in tuple(self.viewers):
            if viewer.writer.transport.is_closing():
                self.viewers.discard(viewer)
            elif self.fault == "trickle":
                viewer.trickle(cut, stamp)
            else:
                viewer.show(picture, cut, stamp, lossy=self._chance if self.fault == "lossy" else None)

    def _spoil(self, unit: bytes) -> bytes:
        if self.fault == "garbage":
            return unit[:1] + self._chance.randbytes(len(unit) - 1)
        at = self._chance.randrange(len(unit))
        return unit[:at] + self._chance.randbytes(min(20, len(unit) - at)) + unit[at + 20 :]

    async def report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            if self.fault == "reports":
                for viewer in self.viewers:
                    viewer.report()

    def sdp(self) -> str:
        clip = self._playing
        named = [f"sprop-{name}={base64.b64encode(unit).decode()}" for name, unit in clip.sets.items()]
        if clip.codec is H264:
            sets = ",".join(base64.b64encode(unit).decode() for unit in clip.sets.values())
            profile = clip.sets["sps"][1:4].hex()
            named = ["packetization-mode=1", f"profile-level-id={profile}", f"sprop-parameter-sets={sets}"]
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=clip",
            "c=IN IP4 0.0.0.0",
            "t=0 0",
            "a=control:*",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} {clip.codec.name}/{RTP_HZ}",
            f"a=fmtp:{PAYLOAD_TYPE} {';'.join(named)}",
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

    `fail` and `heal`, `pause`, `resume` and `cut` make a camera fail as real ones do; `sent` tells when each picture
    left.
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
        self.clock_ahead_s = 0.0
        """How wrong the camera's own clock is."""
        self._streams: dict[str, _Stream] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, path: str, clip: Path, *, other: Path | None = None) -> None:
        """Serve `clip` at `path`, before `start` or while it runs; `other` when it is set to another size.

        Raises Unservable.
        """
        stream = _Stream(read_clip(clip))
        stream.other = None if other is None else read_clip(other)
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

    def fail(self, path: str, fault: Fault) -> None:
        """From now on, until `heal`."""
        self._streams[path].fault = fault
        if fault in {"reset", "unauthorised", "not-found", "slow"}:
            self._await(self._cut(path))

    def heal(self, path: str) -> None:
        """As good as new; who fell into a black hole is not pulled out again."""
        if self._streams[path].fault == "black-hole":
            self._streams[path].viewers.clear()
        self._streams[path].fault = None

    def pause(self, path: str) -> None:
        """The connection stays, no picture comes: a frozen camera."""
        self.fail(path, "frozen")

    def resume(self, path: str) -> None:
        """Viewers go on at the next key frame."""
        self.heal(path)

    def cut(self, path: str) -> None:
        """Close the connection of everybody who watches."""
        self._await(self._cut(path))

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None, "start the server first"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _cut(self, path: str) -> None:
        stream = self._streams[path]
        for viewer in tuple(stream.viewers):
            if stream.fault == "reset":
                _reset_at_close(viewer.writer)
            viewer.writer.transport.abort()

    async def _launch(self, stream: _Stream) -> None:
        for work in (stream.play(), stream.report()):
            task = asyncio.create_task(work)
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
                stream = self._find(request.path)
                fault = None if stream is None else stream.fault
                if fault == "reset":
                    _reset_at_close(writer)
                    break
                if fault == "black-hole":
                    await reader.read()  # whatever else it says: to the viewer's end, nobody answers
                    break
                await self._answer(request, viewer, slowly=fault == "slow")
                if request.method == "TEARDOWN":
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            _log.debug("a viewer went away")
        except asyncio.CancelledError:
            _log.debug("the server stops")  # asyncio's own callback would log a cancelled connection as a fault
        finally:
            for stream in self._streams.values():
                stream.viewers.discard(viewer)
            self._tasks.discard(task)
            viewer.close()

    async def _answer(self, request: _Request, viewer: _Viewer, *, slowly: bool) -> None:
        status, headers, body = self._decide(request, viewer)
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=self.clock_ahead_s), usegmt=True)
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', '0')}", f"Date: {date}", *headers]
        if body:
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        answer = ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
        if slowly:
            for byte in answer:
                viewer.writer.write(bytes((byte,)))
                await asyncio.sleep(TRICKLE_SECONDS)
        viewer.writer.write(b"" if slowly else answer)
        await viewer.writer.drain()
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
        stream = self._find(request.path)
        wrong = self._basic is not None and request.headers.get("authorization") != self._basic
        if wrong or (stream is not None and stream.fault == "unauthorised"):
            return "401 Unauthorized", ['WWW-Authenticate: Basic realm="camera"'], ""
        if stream is None or stream.fault == "not-found":
            return "404 Not Found", [], ""
        session = f"Session: {viewer.ssrc:08x};timeout=60"
        if request.method == "DESCRIBE":
            return OK, [f"Content-Base: {self.url(request.path)}/"], stream.sdp()
        if request.method == "SETUP":
            chosen = _transport(request.headers.get("transport", ""), viewer)
            return (OK, [f"Transport: {chosen}", session], "") if chosen else ("461 Unsupported Transport", [], "")
        known = request.method in {"PLAY", "GET_PARAMETER", "TEARDOWN"}
        return (OK, [session], "") if known else ("501 Not Implemented", [], "")


def _reset_at_close(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _transport(asked: str, viewer: _Viewer) -> str | None:
    """Arrange for the pictures to travel as asked; the answer's words, None when we cannot."""
    if "RTP/AVP/TCP" in asked:
        channel = asked.partition("interleaved=")[2].partition("-")[0]
        viewer.channel = int(channel) if channel.isdigit() and int(channel) < 255 else 0
        return f"RTP/AVP/TCP;unicast;interleaved={viewer.channel}-{viewer.channel + 1}"
    port = asked.partition("client_port=")[2].partition("-")[0]
    if "multicast" in asked or not port.isdigit() or not 0 < int(port) < 65535:
        return None
    via = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    via.bind((viewer.writer.get_extra_info("sockname")[0], 0))
    viewer.datagrams = via, (viewer.writer.get_extra_info("peername")[0], int(port))
    ours = via.getsockname()[1]
    return f"RTP/AVP;unicast;client_port={port}-{int(port) + 1};server_port={ours}-{ours + 1}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.city.rtsp", description=__doc__)
    parser.add_argument("clip", type=Path, help="a file with H.264 or H.265 video")
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
