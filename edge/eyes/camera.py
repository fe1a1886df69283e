"""One camera: the newest picture of a stream that may stall, break and come back at any time.

A file plays in real time and starts again at its end; its stream clock goes on. No message holds a user, a password
or a path of a URL: reasons are our own words.
"""

import logging
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge.eyes.frame import Frame, Pixels

State = Literal["connecting", "live", "stalled", "refused", "unauthorised", "not_found", "down"]

OPEN_SECONDS = 3.0
READ_SECONDS = 1.0
"""FFmpeg reports a silent stream after twice this time."""
STALL_SECONDS = 2.0
STALL_PERIODS = 5
BLIND_SECONDS = 6.0
"""Packets without one whole picture for this long: the connection is made anew."""
BACKOFF_SECONDS = (0.5, 2.0)
HOPELESS_SECONDS = 30.0
"""Between tries where the camera answers but says no: asking faster may lock the account."""
JUMP_SECONDS = 5.0
"""A stream clock that leaps by more than this against ours has been set anew."""

_log = logging.getLogger(__name__)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(\S*)")


def redact(text: str) -> str:
    """`text` in which every URL is cut to its scheme and host; users, passwords, paths and queries are gone."""

    def cut(match: re.Match[str]) -> str:
        authority, slash, rest = match[2].partition("/")
        if "@" in rest:  # a password that holds a slash: nobody can say where the host begins
            return f"{match[1]}…"
        host = re.split(r"[?#]", authority.rpartition("@")[2])[0]
        return f"{match[1]}{host}{'/…' if slash else ''}"

    return _URL.sub(cut, text)


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a camera is doing since when; `reason` is for an officer."""

    state: State
    reason: str
    since: datetime
    since_s: float
    """On the stream's clock."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    frames: int = 0
    """Whole pictures."""
    dropped: int = 0
    """Of these, the ones that a newer picture replaced before anybody looked."""
    corrupt: int = 0
    """Pictures that were damaged, or built on a damaged one."""
    connects: int = 0


class _Broken(Exception):
    """The stream cannot go on; the camera's state says why."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state: State = state
        self.reason = reason


_FAULTS: tuple[tuple[tuple[type[Exception], ...], State, str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        "unauthorised",
        "the camera refuses the user or the password",
    ),
    ((av.error.HTTPNotFoundError,), "not_found", "the camera knows no stream of this name"),
    ((av.error.FileNotFoundError,), "not_found", "there is no such file"),
    ((av.error.ConnectionRefusedError,), "refused", "nobody listens at the camera's address"),
    ((av.error.ExitError, av.error.TimeoutError), "stalled", "the camera does not answer"),
    (
        (av.error.EOFError, av.error.ConnectionResetError, av.error.BrokenPipeError),
        "down",
        "the camera closed the stream",
    ),
    ((av.error.InvalidDataError,), "down", "what comes from the source is no video"),
)


def _broken(error: Exception) -> _Broken:
    """An error in our words: FFmpeg's own text holds the URL with the password."""
    for kinds, state, reason in _FAULTS:
        if isinstance(error, kinds):
            return _Broken(state, reason)
    cause = error.strerror if isinstance(error, av.error.FFmpegError) and error.strerror else type(error).__name__
    return _Broken("down", f"the source cannot be read: {redact(cause)}")


def _luma(picture: VideoFrame) -> Pixels:
    """The decoder's own luma plane without a copy, where it has one of 8 bits."""
    layout = picture.format
    if layout.is_rgb or not layout.is_planar or layout.components[0].bits != 8:
        picture = picture.reformat(format="gray")
    plane = picture.planes[0]
    rows: Pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]  # a buffer
    luma = rows[: picture.height, : picture.width]
    luma.flags.writeable = False  # the decoder still predicts from it
    return luma


class _StreamClock:
    """Seconds of the stream from its first picture on, across reconnects and set-backs of the camera's own clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.period_s: float | None = None
        self._begun_s: float | None = None
        self._arrived_s = 0.0
        self._offset_s: float | None = None

    def restart(self) -> None:
        """The next picture comes from a new connection: its time stamps have another zero."""
        self._offset_s = None

    def at(self, stamp_s: float | None, arrived_s: float) -> float:
        """The stream's time of a picture; it always grows."""
        if self._begun_s is None:
            self._begun_s = self._arrived_s = arrived_s
            least_s = 0.0
        else:
            least_s = self.now_s + 0.001
        # since the first arrival, not since the last one: FFmpeg may hold a stream's last picture back until it breaks
        ours_s = max(arrived_s - self._begun_s, least_s)
        found_s = ours_s
        if stamp_s is not None:
            if self._offset_s is not None:
                leap_s = stamp_s + self._offset_s - self.now_s - (arrived_s - self._arrived_s)
                if abs(leap_s) > JUMP_SECONDS:
                    self._offset_s = None
            if self._offset_s is None:
                self._offset_s = ours_s - stamp_s
            found_s = max(stamp_s + self._offset_s, least_s)
        step_s = found_s - self.now_s
        if 0 < step_s < JUMP_SECONDS:
            self.period_s = step_s if self.period_s is None else 0.9 * self.period_s + 0.1 * step_s
        self.now_s, self._arrived_s = found_s, arrived_s
        return found_s


class _Pace:
    """When the pictures of a file are due. A bare stream has no clock of its own: its pictures are evenly spaced."""

    def __init__(self, video: VideoStream) -> None:
        self.period_s = 1.0 / float(video.average_rate or 25)
        self.begun_s: float | None = None
        self._first_s = 0.0
        self._last_s = -self.period_s

    def at(self, stamp_s: float | None, now_s: float) -> tuple[float, float]:
        """The picture's own time, and for how long it is still too early to show it."""
        found_s = self._last_s + self.period_s if stamp_s is None else stamp_s
        if self.begun_s is None:
            self.begun_s, self._first_s = now_s, found_s
        self._last_s = found_s
        return found_s, max(self.begun_s + found_s - self._first_s - now_s, 0.0)


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
        backoff_s: tuple[float, float] = BACKOFF_SECONDS,
    ) -> None:
        self.name = name
        self._source = source
        self._network = "://" in source and not source.startswith("file://")
        self._told = told
        self._backoff_s = backoff_s
        self._clock = _StreamClock()
        self._stop = threading.Event()
        self._fresh = threading.Condition()
        self._slot: Frame | None = None
        self._counters = Counters()
        self._status: Status | None = None
        self._telling = threading.Lock()
        self._progress_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"capture {name}", daemon=True)

    def start(self) -> None:
        self._turn("connecting", "connecting to the camera")
        self._thread.start()

    def stop(self) -> None:
        """The thread ends at its next packet or time-out, within 3 s; nobody has to wait for it."""
        self._stop.set()
        with self._fresh:
            self._fresh.notify_all()

    def join(self, timeout_s: float) -> None:
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

    def age_s(self, now_s: float) -> float | None:
        """Since the newest picture, on the monotonic clock; None before the first."""
        return None if self._counters.frames == 0 else max(now_s - self._progress_s, 0.0)

    def take(self, timeout_s: float) -> Frame | None:
        """The newest picture that nobody has taken yet; None when the time is up."""
        with self._fresh:
            if self._slot is None and not self._stop.is_set():
                self._fresh.wait(timeout_s)
            frame, self._slot = self._slot, None
            return frame

    def check(self, now_s: float) -> None:
        """Declare a stall; called a few times a second by a monitor, because the reader itself may be stuck."""
        limit_s = max(STALL_SECONDS, STALL_PERIODS * (self._clock.period_s or 0.0))
        with self._telling:
            if self.status.state == "live" and now_s - self._progress_s > limit_s:
                self._turn_locked("stalled", f"no picture for {limit_s:.0f} seconds")

    def _turn(self, state: State, reason: str) -> None:
        with self._telling:
            self._turn_locked(state, reason)

    def _turn_locked(self, state: State, reason: str) -> None:
        was = self._status
        if was is not None and was.state == state:
            return
        self._status = Status(state=state, reason=reason, since=datetime.now(UTC), since_s=self._clock.now_s)
        _log.info("camera %s at %s: %s: %s", self.name, self.where, state, reason)
        self._told(self._status, None if was is None else was.state)

    def _run(self) -> None:
        wait_s = self._backoff_s[0]
        while not self._stop.is_set():
            before = self._counters.frames
            try:
                self._play()
            except _Broken as broken:
                self._turn(broken.state, broken.reason)
                if self._counters.frames > before:
                    wait_s = self._backoff_s[0]
                hopeless = broken.state in {"unauthorised", "not_found"}
                # jitter: forty cameras behind one switch must not come back in the same instant
                share = random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, guards nothing)
                self._stop.wait(share * (HOPELESS_SECONDS if hopeless else wait_s))
                wait_s = min(wait_s * 2, self._backoff_s[1])

    def _play(self) -> None:
        """Read until the camera is stopped or a file ends. Raises _Broken for everything else."""
        options = {}
        if self._network:
            options = {"analyzeduration": "100000", "probesize": "50000"}
        if self._source.startswith(("rtsp://", "rtsps://")):
            options |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
        # a slow camera is given its own time
        read_s = max(READ_SECONDS, STALL_PERIODS / 2 * (self._clock.period_s or 0.0))
        opened_s: float | None = None
        tried_s = time.monotonic()
        try:
            with av.open(self._source, options=options, timeout=(OPEN_SECONDS, read_s)) as container:
                opened_s = time.monotonic()
                if not container.streams.video:
                    raise _Broken("down", "the source holds no video")
                video = container.streams.video[0]
                video.codec_context.thread_type = "NONE"  # each further thread of a decoder holds one picture back
                self._clock.restart()
                self._count(connects=1)
                self._read(container, video, paced=not self._network or container.duration is not None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if opened_s is None and time.monotonic() - tried_s >= OPEN_SECONDS:
                # FFmpeg says "invalid data" of an answer that it gave up waiting for
                raise _Broken("stalled", "the camera does not answer") from None
            raise _broken(error) from None  # its text holds the password

    def _read(self, container: InputContainer, video: VideoStream, *, paced: bool) -> None:
        whole = False  # a picture built on a damaged one looks like motion: nothing is shown until the next key frame
        pace = _Pace(video)
        seen_s = time.monotonic()
        for packet in container.demux(video):
            if self._stop.is_set():
                return
            for picture in self._decode(packet):
                whole = picture is not None and (whole or picture.key_frame)
                if picture is None or not whole:
                    self._count(corrupt=1)
                    continue
                stamp_s = None if picture.pts is None else float(picture.pts * (video.time_base or 0))
                if paced:
                    stamp_s, early_s = pace.at(stamp_s, time.monotonic())
                    self._stop.wait(early_s)
                seen_s = time.monotonic()
                self._show(picture, stamp_s, seen_s)
            if not whole and time.monotonic() - seen_s > BLIND_SECONDS:
                raise _Broken("stalled", f"no whole picture for {BLIND_SECONDS:.0f} seconds")
        if not paced:
            raise _Broken("down", "the camera closed the stream")
        if pace.begun_s is None:
            raise _Broken("down", "the file holds no whole picture")
        self._stop.wait(pace.period_s)  # the last picture stays as long as the others do

    @staticmethod
    def _decode(packet: "Packet[VideoStream]") -> list[VideoFrame | None]:
        """The pictures of one packet; None in the place of a damaged one."""
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            return [None]
        return [None if picture.is_corrupt or packet.is_corrupt else picture for picture in pictures]

    def _show(self, picture: VideoFrame, stamp_s: float | None, arrived_s: float) -> None:
        frame = Frame(
            camera=self.name,
            y=_luma(picture),
            stream_s=self._clock.at(stamp_s, arrived_s),
            arrived_s=arrived_s,
            seen_at=datetime.now(UTC),
            corrupt=False,
            bgr=lambda: picture.to_ndarray(format="bgr24"),
        )
        self._progress_s = arrived_s
        with self._fresh:
            lost = self._slot is not None
            self._counters = replace(
                self._counters, frames=self._counters.frames + 1, dropped=self._counters.dropped + lost
            )
            self._slot = frame
            self._fresh.notify()
        self._turn("live", "pictures arrive")

    def _count(self, *, corrupt: int = 0, connects: int = 0) -> None:
        with self._fresh:
            self._counters = replace(
                self._counters,
                corrupt=self._counters.corrupt + corrupt,
                connects=self._counters.connects + connects,
            )
