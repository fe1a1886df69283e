"""One camera: the newest picture of a stream that may stall, break and come back at any time.

A file plays in real time and starts again at its end; its stream clock goes on. No message holds a user, a password
or a path of a URL: reasons are our own words.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge.eyes.clock import LiveEdge, Pace, StreamClock
from edge.eyes.frame import Frame, luma
from edge.eyes.recorder import Film, Reel, Unit
from edge.eyes.status import Broken, Reason, State, Status, broken
from models.address import redact

Decode = Literal["all", "keys", "none"]
"""Every picture; key frames alone, while one comes every two seconds; nothing, for a stream that is only recorded."""

ANSWER_SECONDS = 2.0
READ_SECONDS = 1.0
"""FFmpeg reports a silent stream after twice this time."""
STALL_SECONDS = 2.0
STALL_PERIODS = 5
BLIND_SECONDS = 6.0
"""Packets without one whole picture for this long: the connection is made anew."""
STUCK_SECONDS = 15.0
"""A reader silent beyond its own time-outs hangs in a library, and only the end of its process ends it."""
BACKOFF_SECONDS = (0.5, 2.0)
HOPELESS_SECONDS = 30.0
"""Between tries where the camera answers but says no: asking faster may lock the account."""
HOPEFUL_TRIES = {"unauthorised": 3, "not_found": 10}
"""A camera that starts says no as well, so the first tries come as quickly as any other; accounts lock after five."""
LATE_SECONDS = 0.5
"""Further behind the live edge than this, nothing is decoded until a key frame that is not."""
KEY_SECONDS = 2.0
"""Key frames alone are enough only where one comes at least so often."""

_STILLS = (".jpg", ".jpeg", ".png")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Counters:
    frames: int = 0
    """Whole pictures."""
    dropped: int = 0
    """Of these, the ones that a newer picture replaced before anybody looked."""
    corrupt: int = 0
    """Pictures that were damaged, or built on a damaged one."""
    late: int = 0
    """Pictures that were not decoded, because the reader had fallen behind."""
    passed: int = 0
    """Pictures that were not asked for: between key frames, or of a stream that is only recorded."""
    connects: int = 0


def _is_stills(source: str) -> bool:
    """A folder, or the address of one picture."""
    if "://" not in source:
        return Path(source).is_dir()
    return urlsplit(source).scheme in {"http", "https"} and urlsplit(source).path.lower().endswith(_STILLS)


def _seconds(stamp: int | None, tick_s: float) -> float | None:
    return None if stamp is None else stamp * tick_s


class Camera:
    """Reads one source in a thread of its own. `take` gives the newest picture; older ones are dropped and counted.

    `told(status, was)` is called at each change of state, from whichever thread sees it, one call at a time.
    """

    def __init__(
        self,
        name: str,
        source: str,
        *,
        told: Callable[[Status, State | None], None],
        transport: Literal["tcp", "udp"] = "tcp",
        decode: Decode = "all",
        reel: Reel | None = None,
        answer_s: float = ANSWER_SECONDS,
        every_s: float = 1.0,
        backoff_s: tuple[float, float] = BACKOFF_SECONDS,
    ) -> None:
        self.name = name
        self.decode: Decode = decode
        """May be changed at any time; it counts from the next key frame on."""
        self._source = source
        self._network = "://" in source and not source.startswith("file://")
        self._told = told
        self._transport = transport
        self._reel = reel
        self._answer_s = answer_s
        self._every_s = every_s if _is_stills(source) else 0.0
        self._backoff_s = backoff_s
        self._clock = StreamClock()
        self._stop = threading.Event()
        self._fresh = threading.Condition()
        self._slot: Frame | None = None
        self._counters = Counters()
        self._status: Status | None = None
        self._blind: Reason | None = None
        self._telling = threading.Lock()
        self._progress_s = self._shown_s = self._alive_s = time.monotonic()
        self._late_s = 0.0
        self._key_s: float | None = None
        self._keys_apart_s = KEY_SECONDS
        self._thin = False
        self._behind = False
        self._film: Film | None = None
        self._annexb: BitStreamFilterContext | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    def start(self) -> None:
        self._turn("connecting", "connecting")
        self._thread.start()

    def disable(self) -> None:
        """In the place of `start`: nothing is asked of the camera."""
        self._turn("disabled", "switched_off")

    def stop(self) -> None:
        """The thread ends at its next packet or time-out, within 3 s; nobody has to wait for it."""
        self._stop.set()
        with self._fresh:
            self._fresh.notify_all()

    def join(self, timeout_s: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def status(self) -> Status:
        assert self._status is not None, "start the camera first"
        return self._status

    @property
    def counters(self) -> Counters:
        with self._fresh:
            return self._counters

    @property
    def where(self) -> str:
        """The source without anything secret."""
        return redact(self._source) if self._network else self._source

    @property
    def late_s(self) -> float:
        """How far the newest packet was behind the live edge."""
        return self._late_s

    @property
    def keys_apart_s(self) -> float:
        """Between the last two key frames."""
        return self._keys_apart_s

    def age_s(self, now_s: float) -> float | None:
        """Since the newest picture, on the monotonic clock; None before the first."""
        return None if self._counters.frames == 0 else max(now_s - self._shown_s, 0.0)

    def take(self, timeout_s: float) -> Frame | None:
        """The newest picture that nobody has taken yet; None when the time is up."""
        with self._fresh:
            if self._slot is None and not self._stop.is_set():
                self._fresh.wait(timeout_s)
            frame, self._slot = self._slot, None
            return frame

    def check(self, now_s: float) -> None:
        """Declare a stall; called a few times a second by a monitor, because the reader itself may be stuck."""
        limit_s = max(
            STALL_SECONDS, 3 * self._every_s, 0.0 if self._thin else STALL_PERIODS * (self._clock.period_s or 0.0)
        )
        if self._behind:  # it waits for a key frame near the live edge
            limit_s += self._keys_apart_s
        with self._telling:
            if self.status.state in {"live", "blind"} and now_s - self._progress_s > limit_s:
                self._turn_locked("stalled", "overloaded" if self._behind else "no_picture")

    def is_stuck(self, now_s: float) -> bool:
        """Whether the reader itself hangs."""
        return self._thread.is_alive() and not self._stop.is_set() and now_s - self._alive_s > STUCK_SECONDS

    def blind(self, why: Reason | None) -> None:
        """Pictures come, but there is nothing to see in them; None: there is again."""
        self._blind = why
        if self.status.state in {"live", "blind"}:
            self._turn_to_seen()

    def _turn_to_seen(self) -> None:
        if self._blind is None:
            self._turn("live", "pictures")
        else:
            self._turn("blind", self._blind)

    def _turn(self, state: State, reason: Reason) -> None:
        with self._telling:
            self._turn_locked(state, reason)

    def _turn_locked(self, state: State, reason: Reason) -> None:
        was = self._status
        if was is not None and was.state == state and (state != "blind" or was.reason == reason):
            return
        self._status = Status(state=state, reason=reason, since=datetime.now(UTC), since_s=self._clock.now_s)
        _log.info("camera %s at %s: %s: %s", self.name, self.where, state, reason)
        self._told(self._status, None if was is None else was.state)

    def _rest(self, seconds: float) -> None:
        self._alive_s = time.monotonic() + seconds
        self._stop.wait(seconds)

    def _run(self) -> None:
        wait_s = self._backoff_s[0]
        refusals = 0
        while not self._stop.is_set():
            before, began_s = self._counters.frames, time.monotonic()
            try:
                self._play()
            except Broken as fault:
                self._turn(fault.state, fault.reason)
                if self._counters.frames > before:
                    wait_s, refusals = self._backoff_s[0], 0
                refusals += fault.state in HOPEFUL_TRIES
                hopeless = fault.state in HOPEFUL_TRIES and refusals > HOPEFUL_TRIES[fault.state]
                # jitter: forty cameras behind one switch must not come back in the same instant
                share = random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, guards nothing)
                pause_s = share * (HOPELESS_SECONDS if hopeless else wait_s)
                if fault.reason == "no_answer":  # its time-out was a pause already
                    pause_s = max(pause_s - (time.monotonic() - began_s), 0.1)
                self._rest(pause_s)
                wait_s = min(wait_s * 2, self._backoff_s[1])

    def _play(self) -> None:
        """Read until the camera is stopped or a file ends. Raises Broken for everything else."""
        if self._every_s:
            self._poll()
            return
        options = {}
        if self._network:
            options = {"analyzeduration": "100000", "probesize": "50000"}
        if self._source.startswith(("rtsp://", "rtsps://")):
            options |= {"rtsp_transport": self._transport, "allowed_media_types": "video"}
        # a slow camera is given its own time
        read_s = max(READ_SECONDS, STALL_PERIODS / 2 * (self._clock.period_s or 0.0))
        opened_s: float | None = None
        tried_s = self._alive_s = time.monotonic()
        device = "v4l2" if self._source.startswith("/dev/") else None
        try:
            with av.open(self._source, format=device, options=options, timeout=(self._answer_s, read_s)) as container:
                opened_s = time.monotonic()
                if not container.streams.video:
                    raise Broken("down", "no_video")
                video = container.streams.video[0]
                video.codec_context.thread_type = "NONE"  # each further thread of a decoder holds one picture back
                self._clock.restart()
                self._count(connects=1)
                self._read(container, video, paced=not (self._network or device) or container.duration is not None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if opened_s is None and time.monotonic() - tried_s >= self._answer_s:
                # FFmpeg says "invalid data" of an answer that it gave up waiting for
                raise Broken("stalled", "no_answer") from None
            raise broken(error) from None  # its text holds the password

    def _poll(self) -> None:
        """A picture of its own each time: the same address again, or what is new in a folder. Raises Broken."""
        self._count(connects=1)
        last = ""
        while not self._stop.is_set():
            begun_s = self._alive_s = time.monotonic()
            name = self._source
            if not self._network:
                name = min((str(path) for path in Path(self._source).iterdir() if str(path) > last), default="")
            if name:
                last = name
                try:
                    with av.open(name, timeout=(self._answer_s, self._answer_s)) as container:
                        picture = next(container.decode(video=0))
                except (av.error.FFmpegError, OSError, ValueError, StopIteration, IndexError) as error:
                    if self._network:
                        raise broken(error) from None  # its text holds the password
                    self._count(corrupt=1)  # half written, or no picture at all: the next one
                    continue
                self._show(picture, None, at_s := time.monotonic(), came_s=at_s)
            self._rest(max(begun_s + self._every_s - time.monotonic(), 0.05))

    def _read(self, container: InputContainer, video: VideoStream, *, paced: bool) -> None:
        whole = False  # a picture built on a damaged one looks like motion: nothing is shown until the next key frame
        self._behind = False
        self._load_film(video)
        tick_s = float(video.time_base or Fraction(1, 90_000))
        pace, edge = Pace(video), LiveEdge()
        self._key_s, self._thin = None, self.decode == "keys"
        seen_s = time.monotonic()
        for packet in container.demux(video):
            now_s = self._alive_s = time.monotonic()
            if self._stop.is_set():
                return
            self._keep(packet, now_s)
            if not paced and packet.size:
                self._late_s = edge.late_s(_seconds(packet.pts, tick_s), now_s)
                if self._passes_over(packet, now_s):
                    whole, seen_s = False, now_s
                    continue
            for picture in self._decode(packet, delays=bool(video.codec_context.has_b_frames)):
                whole = picture is not None and (whole or picture.key_frame)
                self._count(corrupt=not whole)
                if picture is None or not whole:
                    continue
                stamp_s = _seconds(picture.pts, tick_s)
                if paced:
                    stamp_s, early_s = pace.at(stamp_s, time.monotonic())
                    self._rest(early_s)
                seen_s = time.monotonic()
                whole = self._show(picture, stamp_s, seen_s, came_s=seen_s if paced else now_s)
            if not whole and time.monotonic() - seen_s > BLIND_SECONDS:
                raise Broken("stalled", "no_whole_picture")
        if not paced or pace.begun_s is None:
            raise Broken("down", "no_video" if paced else "closed")
        self._rest(pace.period_s)  # the last picture stays as long as the others do

    def _passes_over(self, packet: "Packet[VideoStream]", now_s: float) -> bool:
        """Whether this picture is not decoded: too late, or not needed."""
        if packet.is_keyframe:
            if self._key_s is not None:
                self._keys_apart_s = now_s - self._key_s
                self._thin = self.decode == "keys" and self._keys_apart_s <= KEY_SECONDS + 0.2
            self._key_s = now_s
        if self._late_s > LATE_SECONDS or (self._behind and not packet.is_keyframe):
            self._behind = True
            self._count(late=1)
            return True
        self._behind = False
        if self.decode == "none" or (self._thin and not packet.is_keyframe):
            self._progress_s = now_s
            self._count(passed=1)
            if self.decode == "none":
                self._turn_to_seen()
            return True
        return False

    def _load_film(self, video: VideoStream) -> None:
        """What the packets of this connection have in common."""
        time_base = video.time_base or Fraction(1, 90_000)
        self._film = Film(video.codec_context.name, video.codec_context.extradata or b"", time_base)
        self._annexb = None
        if self._film.extradata[:1] == b"\x01" and self._film.codec in {"h264", "hevc"}:  # packets of a file
            self._annexb = BitStreamFilterContext(f"{self._film.codec}_mp4toannexb", video)

    def _keep(self, packet: "Packet[VideoStream]", now_s: float) -> None:
        if self._reel is None or self._film is None or not packet.size:
            return
        data = bytes(packet)
        if self._annexb is not None:
            data = b"".join(map(bytes, self._annexb.filter(Packet(data))))
        self._reel.put(Unit(self._film, now_s, packet.pts, packet.dts, packet.is_keyframe, data))

    @staticmethod
    def _decode(packet: "Packet[VideoStream]", *, delays: bool) -> list[VideoFrame | None]:
        """The pictures of one packet; None in the place of a damaged one."""
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            return [None]
        if not pictures and packet.size and not delays:
            return [None]  # FFmpeg's H.265 decoder says nothing of a picture that it cannot build
        return [None if picture.is_corrupt or packet.is_corrupt else picture for picture in pictures]

    def _show(self, picture: VideoFrame, stamp_s: float | None, arrived_s: float, *, came_s: float) -> bool:
        """False for a picture that is too late by now: the decoder itself waited for a core."""
        if self._late_s + arrived_s - came_s > 2 * LATE_SECONDS:
            self._behind = True
            self._count(late=1)
            return False
        frame = Frame(
            camera=self.name,
            y=luma(picture),
            stream_s=self._clock.at(stamp_s, arrived_s),
            arrived_s=arrived_s,
            seen_at=datetime.now(UTC),
            corrupt=False,
            bgr=lambda: picture.to_ndarray(format="bgr24"),
        )
        self._progress_s = self._shown_s = arrived_s
        with self._fresh:
            lost = self._slot is not None
            self._counters = replace(
                self._counters, frames=self._counters.frames + 1, dropped=self._counters.dropped + lost
            )
            self._slot = frame
            self._fresh.notify()
        self._turn_to_seen()
        return True

    def _count(self, *, corrupt: int = 0, connects: int = 0, late: int = 0, passed: int = 0) -> None:
        with self._fresh:
            self._counters = replace(
                self._counters,
                corrupt=self._counters.corrupt + corrupt,
                connects=self._counters.connects + connects,
                late=self._counters.late + late,
                passed=self._counters.passed + passed,
            )
