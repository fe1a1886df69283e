"""The processes that see. They parse what strangers send, so they may crash, hang or lie: the gate starts them anew."""

import contextlib
import logging
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from multiprocessing.connection import Connection
from types import MappingProxyType

import msgspec

from edge import sighting
from edge.settings import Camera

log = logging.getLogger(__name__)

_SILENT_S = 10
_START_S = 60
"""A first message may take longer: an eye loads its libraries and its detector first."""
_MESSAGE_BYTES = 16 << 20
_BACK_OFF_FIRST_S = 0.5
_BACK_OFF_MOST_S = 10.0
_STEADY_S = 30.0
"""An eye that lived so long has earned a quick restart."""


class Broken(ValueError):
    """A message that no sound eye sends."""


def spread(cameras: Sequence[Camera], eyes: int) -> list[tuple[Camera, ...]]:
    """Cameras dealt out over at most so many eyes, none of them without a camera."""
    return [tuple(cameras[start::eyes]) for start in range(min(eyes, len(cameras)))]


def rehand(hands: Sequence[tuple[Camera, ...]], cameras: Sequence[Camera], eyes: int) -> list[tuple[Camera, ...]]:
    """Who has what from now on: a camera stays where it is, a new one goes where there are the fewest. More hands than
    before when there are fewer than `eyes`; an empty one stands for an eye that is not needed any more.
    """
    known = {camera.id: place for place, hand in enumerate(hands) for camera in hand}
    dealt: list[list[Camera]] = [[] for _ in hands]
    for camera in cameras:
        if camera.id in known:
            dealt[known[camera.id]].append(camera)
    for camera in cameras:
        if camera.id not in known:
            used = [hand for hand in dealt if hand]
            if len(used) < eyes:
                dealt.append([camera])
            else:
                min(used, key=len).append(camera)
    return [tuple(hand) for hand in dealt]


def _log_of(process: "subprocess.Popen[bytes]") -> None:
    """What it says goes where we say ours, so that one file tells all; to the end of the process."""
    assert process.stderr is not None, "it was started with a pipe"
    with process.stderr as said:
        for raw in said:
            level, _, words = raw.decode(errors="replace").rstrip().partition(" ")
            known = logging.getLevelNamesMapping().get(level)
            log.log(known or logging.ERROR, "eye: %s", words if known else f"{level} {words}")


class Eye:
    """One process and the thread that listens to it. `on_sighting` may raise Broken; `on_end` hears of each death."""

    def __init__(
        self,
        cameras: Sequence[Camera],
        boot: str,
        *,
        escorts: Mapping[str, Mapping[str, datetime]] = MappingProxyType({}),
        on_sighting: Callable[[sighting.Sighting], None],
        on_end: Callable[[Sequence[Camera]], None],
    ) -> None:
        self._boot = boot
        self._escorts = escorts
        self._names: frozenset[str] = frozenset()
        self._connection: Connection | None = None
        self._saying = threading.Lock()
        self._watch(cameras)
        self._on_sighting = on_sighting
        self._on_end = on_end
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.broken = 0
        """Messages that were none; each one cost the eye its life."""
        self._thread = threading.Thread(target=self._watch_always, name=f"eye-{cameras[0].id}")

    @property
    def cameras(self) -> tuple[Camera, ...]:
        return self._cameras

    def set(self, cameras: Sequence[Camera]) -> None:
        """Watch these from now on; those of which nothing has changed do not notice."""
        with self._saying:
            self._watch(cameras)
            if self._connection is not None:
                with contextlib.suppress(OSError):  # it has just died: its successor hears it at once
                    self._connection.send_bytes(self._hello)

    def escort(self, escorts: Mapping[str, Mapping[str, datetime]]) -> None:
        """Until when which zones may be left."""
        self._escorts = escorts
        self.set(self._cameras)

    def _watch(self, cameras: Sequence[Camera]) -> None:
        self._cameras = tuple(cameras)
        # what a camera that was taken away still had to say is not Broken
        self._names |= {camera.id for camera in cameras}
        told = [camera.model_dump(mode="json") for camera in cameras]
        self._hello = msgspec.json.encode({"cameras": told, "boot": self._boot, "escorts": dict(self._escorts)})

    @property
    def pid(self) -> int:
        """Of the present process."""
        assert self._process is not None, "start the eye first"
        return self._process.pid

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ask it to end; `join` waits for it."""
        self._closing.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()

    def join(self) -> None:
        self._thread.join()

    def _watch_always(self) -> None:
        back_off = _BACK_OFF_FIRST_S
        while not self._closing.is_set():
            started = time.monotonic()
            ours, theirs = socket.socketpair()
            # A message cut off in its middle must not hold us for ever.
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _SILENT_S, 0))
            with theirs:
                arguments = [sys.executable, "-m", "edge.eyes", "--fd", str(theirs.fileno())]
                # A heap for each of a hundred threads would hold what its camera has long given back; and a second
                # thread for small matrices only waits, at the price of a core.
                frugal = os.environ | {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}
                process = subprocess.Popen(
                    arguments,
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=frugal,
                )
            self._process = process
            threading.Thread(target=_log_of, args=(process,), name=f"log of eye {process.pid}", daemon=True).start()
            with Connection(ours.detach()) as connection:
                why = self._listen(connection)
                with self._saying:
                    self._connection = None
            self._reap(process)
            if self._closing.is_set():
                return
            self.restarts += 1
            log.warning("eye of %s: %s; starting it again", ", ".join(sorted(self._names)), why)
            self._on_end(self._cameras)
            if time.monotonic() - started > _STEADY_S:
                back_off = _BACK_OFF_FIRST_S
            self._closing.wait(back_off * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
            back_off = min(back_off * 2, _BACK_OFF_MOST_S)

    def _listen(self, connection: Connection) -> str:
        """Until it ends; why it ended."""
        patience, silent = _START_S, 0
        try:
            with self._saying:
                connection.send_bytes(self._hello)
                self._connection = connection
            while not self._closing.is_set():
                # Seconds of silence are counted one by one: when we sleep (a stopped process, a suspended box), one
                # long second passes, and nobody is killed for it.
                if not connection.poll(1.0):
                    silent += 1
                    if silent >= patience:
                        return f"silent for {silent} s"
                    continue
                patience, silent = _SILENT_S, 0
                self._take(connection.recv_bytes(_MESSAGE_BYTES))
        except EOFError:
            return "ended"
        except (msgspec.MsgspecError, UnicodeDecodeError, Broken) as error:
            self.broken += 1
            return f"sent what no sound eye sends ({type(error).__name__})"
        except OSError as error:
            return f"connection broken ({error.strerror or type(error).__name__})"
        return "asked to end"

    def _take(self, message: bytes) -> None:
        seen = sighting.decode(message)
        if seen.camera not in self._names:
            raise Broken("a camera that is not its own")
        self._on_sighting(seen)

    def _reap(self, process: "subprocess.Popen[bytes]") -> None:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
