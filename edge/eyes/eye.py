"""The cameras of one process: each watched in a thread of its own, everything told over one socket to the gate."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from multiprocessing.connection import Connection

import cv2
import msgspec

from edge import sighting
from edge.eyes import watches
from edge.eyes.camera import Camera, Decode
from edge.eyes.frame import Frame
from edge.eyes.ladder import DECODE, Ladder, Step
from edge.eyes.reader import GuardedReader
from edge.eyes.recorder import Recorder, Reel
from edge.eyes.status import State, Status
from edge.eyes.watches.quarantine import QuarantineWatch
from edge.settings import Camera as CameraSettings
from edge.sighting import Health, Sighting, Still, Told
from models.vision.stir import Stir
from models.vision.tamper import Tamper
from models.wire.events import NAMES, CameraHealth, CameraStatus, ZoneBreached
from models.wire.events import Box as Region

STILL_SECONDS = 1.0
STILL_WIDTH = 640
STILL_QUALITY = 75
HEALTH_SECONDS = 1.0
MONITOR_SECONDS = 0.25
TAKE_SECONDS = 0.5
STUCK_SECONDS = 30.0
"""Over one picture: no watch looks so long."""

_log = logging.getLogger(__name__)


class Mouth:
    """The one way out of this process; any thread may say something. That the gate is gone is noticed by the reader."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def say(self, what: Sighting) -> None:
        message = sighting.encode(what)
        with self._lock:
            try:
                self._connection.send_bytes(message)
            except OSError:
                _log.debug("the gate is gone")  # the reading side ends the process at this moment


def _still(frame: Frame, bodies: tuple[Region, ...] | None) -> Still | None:
    picture = frame.bgr()
    height, width = picture.shape[:2]
    if width > STILL_WIDTH:
        size = (STILL_WIDTH, max(round(height * STILL_WIDTH / width), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, STILL_QUALITY])
    if not done:
        return None
    return Still(camera=frame.camera, seen_at=frame.seen_at, jpeg=jpeg.tobytes(), bodies=bodies)


def _decode(settings: CameraSettings, watch: watches.Watch) -> Decode:
    """A crowd that is counted now and then needs key frames alone; whoever walks must be followed in every picture."""
    if settings.frames != "auto":
        return settings.frames
    counts = settings.watch == "traffic" and watch.detector not in {None, "motion"}
    return "keys" if counts and not any(zone.kind == "count-line" for zone in settings.zones) else "all"


class Post:
    """One camera and the watch that looks at it."""

    def __init__(self, settings: CameraSettings, watch: watches.Watch, mouth: Mouth) -> None:
        self._settings = settings
        self._watch = watch
        self._mouth = mouth
        self._stop = threading.Event()
        self._tamper = Tamper()
        self._stir = Stir()
        self._step: Step = "full"
        self._shed = 0
        self._faults = 0
        self._counted: tuple[float, int] | None = None
        self._alive_s = time.monotonic()
        self._decode = _decode(settings, watch)
        reel = Reel() if settings.watch == "quarantine" else None
        self._recorder = None if reel is None else Recorder(settings.id, reel, mouth.say)
        self.camera = Camera(
            settings.id,
            settings.source,
            told=self._tell,
            transport=settings.transport,
            decode=self._decode,
            reel=None if settings.main else reel,
            answer_s=settings.answer_seconds,
            every_s=settings.every_seconds,
        )
        self._main: Camera | None = None
        if settings.main and reel is not None:
            self._main = Camera(
                f"{settings.id} main",
                settings.main,
                told=lambda _status, _was: None,
                transport=settings.transport,
                decode="none",
                reel=reel,
                answer_s=settings.answer_seconds,
            )
        self._thread = threading.Thread(target=self._look, name=f"watch {settings.id}", daemon=True)

    def start(self) -> None:
        if not self._settings.enabled:
            self.camera.disable()
            return
        self.camera.start()
        if self._main is not None:
            self._main.start()
        self._thread.start()

    def is_stuck(self, now_s: float) -> bool:
        """Whether a thread of this camera hangs in a library; only the end of its process ends it."""
        return self.camera.is_stuck(now_s) or (self._thread.is_alive() and now_s - self._alive_s > STUCK_SECONDS)

    @property
    def settings(self) -> CameraSettings:
        return self._settings

    @property
    def watch(self) -> watches.Watch:
        return self._watch

    def go_by(self, settings: CameraSettings, watch: watches.Watch) -> None:
        """Other zones, another mode: from the next picture on, of the same stream."""
        self._settings, self._watch = settings, watch
        self._decode = _decode(settings, watch)
        self.camera.decode = DECODE[self._step] or self._decode

    def give_way(self, step: Step) -> None:
        """Leave out as much from now on."""
        if step == self._step:
            return
        _log.warning("camera %s: %s instead of %s", self._settings.id, step, self._step)
        self._step = step
        self.camera.decode = DECODE[step] or self._decode
        self.camera.blind("overloaded" if step == "paused" else None)

    def check(self, now_s: float) -> None:
        """Several times a second, by a monitor that was not asleep itself."""
        if self._settings.enabled:
            self.camera.check(now_s)

    def stop(self) -> None:
        self._stop.set()
        self.camera.stop()
        if self._main is not None:
            self._main.stop()

    def health(self, now_s: float) -> Health:
        """Counters of now; the rate is of the time since the last call."""
        counters, status = self.camera.counters, self.camera.status
        age_s = self.camera.age_s(now_s)
        fps: float | msgspec.UnsetType = msgspec.UNSET
        if self._counted is not None and now_s > self._counted[0]:
            fps = round((counters.frames - self._counted[1]) / (now_s - self._counted[0]), 1)
        self._counted = (now_s, counters.frames)
        return Health(
            camera=self._settings.id,
            health=CameraHealth(
                state=status.state,
                reason=status.reason,
                watch=self._settings.watch,
                mode=self._settings.mode,
                since=status.since,
                frame_age_s=msgspec.UNSET if age_s is None else round(age_s, 3),
                fps=fps,
                frames=counters.frames,
                dropped=counters.dropped,
                corrupt=counters.corrupt,
                late=counters.late,
                connects=counters.connects,
                unfilmed=0 if self._recorder is None else self._recorder.refused + self._recorder.faults,
                **self._watch.counts,
                late_s=round(self.camera.late_s, 2),
                shed=self._shed + (counters.passed if self._decode == "all" else 0),
                step=self._step,
            ),
            detector=self._watch.detector,
        )

    def _tell(self, status: Status, was: State | None) -> None:
        data = CameraStatus(
            camera=self._settings.id,
            state=status.state,
            was=msgspec.UNSET if was is None else was,
            reason=status.reason,
            since=round(status.since_s, 3),
            watched={zone.id: self._settings.mode for zone in self._settings.zones},
        )
        self._mouth.say(
            Told(
                camera=self._settings.id,
                seen_at=status.since,
                stream_s=status.since_s,
                event=NAMES[CameraStatus],
                raw=msgspec.json.encode(data),
            )
        )

    def _look(self) -> None:
        still_due_s = 0.0
        while not self._stop.is_set():
            frame = self.camera.take(TAKE_SECONDS)
            self._alive_s = time.monotonic()
            if frame is None:
                continue
            try:
                self.camera.blind(self._tamper.see(frame.y, frame.stream_s))
                if self._step != "full" and not self._stir.see(frame.y):
                    self._shed += 1
                    continue
                for what in self._watch.see(frame):
                    self._mouth.say(what)
                    self._film(what, frame)
                if frame.arrived_s >= still_due_s:
                    still_due_s = frame.arrived_s + STILL_SECONDS
                    still = _still(frame, self._watch.bodies)
                    if still is not None:
                        self._mouth.say(still)
            except Exception as error:  # noqa: BLE001  (one bad picture must not blind a camera)
                self._faults += 1
                self._report(error)

    def _film(self, what: Sighting, frame: Frame) -> None:
        """A breach with its picture gets a film as well."""
        if self._recorder is None or not isinstance(what, Told) or what.still is None:
            return
        if what.event == NAMES[ZoneBreached]:
            breach = msgspec.json.decode(what.raw, type=ZoneBreached)
            self._recorder.record(breach.incident, frame.arrived_s, frame.seen_at)

    def _report(self, error: Exception) -> None:
        """Where it happened and how often, never the message: it may quote what a code says."""
        if self._faults & (self._faults - 1):
            return  # at 1, 2, 4, 8, … only: a fault at every frame must not fill the disk
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
        _log.error("camera %s: the watch failed %d times: %s at %s", self._settings.id, self._faults,
                   type(error).__name__, place)  # fmt: skip


class Eye:
    """All cameras of this process and their monitor."""

    def __init__(
        self,
        cameras: tuple[CameraSettings, ...],
        connection: Connection,
        *,
        key: bytes,
        on_stuck: Callable[[str], None],
    ) -> None:
        """Raises what `watches.build` raises when a camera's model cannot be used. `on_stuck` hears which camera hangs
        and ends the process.
        """
        self._on_stuck = on_stuck
        self._mouth = Mouth(connection)
        self._key = key
        self._posts = tuple(self._post(camera) for camera in cameras)
        self._ladder = Ladder()
        self._stop = threading.Event()
        self._monitor = threading.Thread(target=self._pulse, name="monitor", daemon=True)

    def start(self) -> None:
        for post in self._posts:
            post.start()
        self._monitor.start()

    def set(self, cameras: tuple[CameraSettings, ...]) -> None:
        """Watch these from now on. A camera of which nothing has changed does not notice. Raises Unusable."""
        wanted = {camera.id: camera for camera in cameras}
        kept = {
            post.settings.id: post
            for post in self._posts
            if (camera := wanted.get(post.settings.id)) and post.settings.is_same_stream(camera)
        }
        others = {
            name: watches.build(wanted[name], key=self._key, before=post.watch)
            for name, post in kept.items()
            if post.settings != wanted[name]
        }
        new = {camera.id: self._post(camera) for camera in cameras if camera.id not in kept}
        for name, watch in others.items():
            kept[name].go_by(wanted[name], watch)
        for post in self._posts:
            if post.settings.id not in kept:
                post.stop()
        self._posts = tuple(kept.get(camera.id) or new[camera.id] for camera in cameras)
        for post in new.values():
            post.start()

    def escort(self, escorts: Mapping[str, Mapping[str, datetime]]) -> None:
        """Until when which zones of which cameras may be left."""
        for post in self._posts:
            if isinstance(post.watch, QuarantineWatch):
                post.watch.escorts = escorts.get(post.settings.id, {})

    def _post(self, camera: CameraSettings) -> Post:
        reader = GuardedReader(with_second=camera.second_reader) if camera.watch == "checkpoint" else None
        return Post(camera, watches.build(camera, key=self._key, reader=reader), self._mouth)

    def stop(self) -> None:
        self._stop.set()
        for post in self._posts:
            post.stop()

    def _pulse(self) -> None:
        last_s = time.monotonic()
        health_due_s = last_s
        while not self._stop.wait(MONITOR_SECONDS):
            now_s = time.monotonic()
            # a monitor that was itself asleep (a suspended box, a starved core) proves nothing about the cameras
            if now_s - last_s < 4 * MONITOR_SECONDS:
                for post in self._posts:
                    post.check(now_s)
                    if post.is_stuck(now_s):
                        self._on_stuck(post.camera.name)
            last_s = now_s
            if now_s >= health_due_s:
                health_due_s = max(health_due_s + HEALTH_SECONDS, now_s)
                self._balance(now_s)
                for post in self._posts:
                    self._mouth.say(post.health(now_s))

    def _balance(self, now_s: float) -> None:
        posts = {post.settings.id: post for post in self._posts}
        late_s = {name: post.camera.late_s for name, post in posts.items() if post.camera.status.state == "live"}
        steps = self._ladder.see({name: post.settings.watch for name, post in posts.items()}, late_s, now_s)
        for name, step in steps.items():
            posts[name].give_way(step)
