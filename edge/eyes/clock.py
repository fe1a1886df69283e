"""The clocks of one stream: its own time across reconnects, when a file's pictures are due, how far behind we are."""

from av.video.stream import VideoStream

JUMP_SECONDS = 5.0
"""A stream clock that leaps by more than this against ours has been set anew."""
DRIFT = 2e-4
"""A camera's crystal runs this much slower than ours at the worst."""


class StreamClock:
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


class LiveEdge:
    """How late a picture is: against the promptest one so far, because nobody knows the true delay of a network."""

    def __init__(self) -> None:
        self._least_s: float | None = None
        self._stamp_s = 0.0
        self._at_s = 0.0

    def late_s(self, stamp_s: float | None, arrived_s: float) -> float:
        if stamp_s is None:
            return 0.0
        step_s, passed_s = stamp_s - self._stamp_s, arrived_s - self._at_s
        delay_s = arrived_s - stamp_s
        # a camera's clock that was set; a step of ours alone (a suspended box) is lateness, and is told as such
        leapt = not -JUMP_SECONDS < step_s < passed_s + JUMP_SECONDS
        if self._least_s is None or leapt:
            self._least_s = delay_s
        self._least_s = min(self._least_s + DRIFT * passed_s, delay_s)
        self._stamp_s, self._at_s = stamp_s, arrived_s
        return delay_s - self._least_s


class Pace:
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
