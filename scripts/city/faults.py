"""Cameras that fail at random before a real eye: how soon that is noticed and mended, and what stays stuck."""

import itertools
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from edge.gate.eyes import Eye
from edge.settings import Camera
from edge.sighting import Health, Sighting, Told
from models.wire.events import NAMES, CameraStatus
from scripts.city.rtsp import FAULTS, Fault, RtspServer

KINDS: tuple[Fault | Literal["absent"], ...] = (*FAULTS, "absent")
"""What a stream can suffer, and a camera that is not there at all."""
SILENT = frozenset(KINDS) - {"damaged", "lossy", "jump", "resize"}
"""In these no whole picture comes, and that has to be noticed."""
PATIENCE_S = 3.5
"""A dead connection that was not noticed after so long is none."""
GIVE_UP_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Suffered:
    """One fault of one camera and what the eye made of it, as its gate heard it."""

    camera: str
    fault: str
    seconds: float
    noticed_s: float | None
    """From its beginning to the first word of it."""
    back_s: float | None
    """From its end to the word that pictures come again; None where they never stopped."""
    told_s: float
    """The longest way of one word from the eye to its gate."""
    hopeless: bool
    """The camera had said no so often that it is asked only now and then."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    suffered: tuple[Suffered, ...]
    threads_more: int
    files_more: int
    eye_restarts: int

    def noticed_max_s(self) -> float:
        """Of all stalls that lasted long enough; infinite when one was missed."""
        long = [one for one in self.suffered if one.fault in SILENT and one.seconds > 3.0]
        return max((float("inf") if one.noticed_s is None else one.noticed_s for one in long), default=0.0)

    def back_max_s(self) -> float:
        return max((one.back_s for one in self.suffered if one.back_s is not None and not one.hopeless), default=0.0)


@dataclass
class _Heard:
    """What the gate knows of one camera."""

    state: str = ""
    changes: list[tuple[float, str]] = field(default_factory=list)
    frames: int = 0
    slowest_s: float = 0.0


class Campaign:
    """Each camera suffers one fault after the other, all cameras at once."""

    def __init__(self, clips: Sequence[Path], *, cameras: int, seed: int) -> None:
        """`clips`: what the cameras show, the second one of another size."""
        self._seed = seed
        self._lock = threading.Condition()
        self._servers = {f"cam-{number}": RtspServer() for number in range(cameras)}
        for server in self._servers.values():
            server.add("cam", clips[0], other=clips[1])
        self._heard = {name: _Heard() for name in self._servers}

    def run(self, faults: int) -> Outcome:
        """So many faults in all."""
        for server in self._servers.values():
            server.start()
        settings = [
            Camera(id=name, source=server.url("cam"), watch="checkpoint") for name, server in self._servers.items()
        ]
        eye = Eye(settings, "faults", on_sighting=self._hear, on_end=lambda _: None)
        eye.start()
        try:
            for name in self._servers:
                self._await(name, "live")
            before = _resources(eye.pid)
            left = itertools.count(1)
            suffered: list[Suffered] = []

            def torment(name: str) -> None:
                chance = random.Random(f"{self._seed}/{name}")
                while next(left) <= faults:
                    suffered.append(self._torment(name, chance))

            threads = [threading.Thread(target=torment, args=(name,)) for name in self._servers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            after = _resources(eye.pid)
        finally:
            eye.close()
            eye.join()
            for server in self._servers.values():
                server.stop()
        return Outcome(
            suffered=tuple(suffered),
            threads_more=after[0] - before[0],
            files_more=after[1] - before[1],
            eye_restarts=eye.restarts,
        )

    def _torment(self, name: str, chance: random.Random) -> Suffered:
        server, heard = self._servers[name], self._heard[name]
        fault, seconds = chance.choice(KINDS), chance.uniform(0.2, 5.0)
        self._await(name, "live")
        with self._lock:
            heard.changes.clear()
        began = time.monotonic()
        if fault == "absent":
            server.stop()
        else:
            server.fail("cam", fault)
        time.sleep(seconds)
        healed = time.monotonic()
        with self._lock:
            noes = sum(state in {"unauthorised", "not_found"} for _, state in heard.changes)
        if fault == "absent":
            server.start()
        else:
            server.heal("cam")
        frames = heard.frames
        time.sleep(PATIENCE_S)
        self._await(name, "live")
        give_up = time.monotonic() + GIVE_UP_S
        while heard.frames <= frames:
            if time.monotonic() > give_up:
                raise TimeoutError(f"{name}: no picture {GIVE_UP_S} s after {fault}")
            time.sleep(0.1)
        with self._lock:
            changes = list(heard.changes)
        lost = [at for at, state in changes if state != "live"]
        again = [at for at, state in changes if state == "live" and lost and at > lost[0]]
        return Suffered(
            camera=name,
            fault=fault,
            seconds=seconds,
            noticed_s=lost[0] - began if lost else None,
            back_s=max(again[-1] - healed, 0.0) if again else None,
            told_s=heard.slowest_s,
            hopeless=noes > 0 and fault == "unauthorised" and seconds > 1.0,
        )

    def _hear(self, seen: Sighting) -> None:
        heard = self._heard[seen.camera]
        with self._lock:
            if isinstance(seen, Health):
                heard.frames = seen.health.frames
            elif isinstance(seen, Told) and seen.event == NAMES[CameraStatus]:
                heard.slowest_s = max(heard.slowest_s, (datetime.now(UTC) - seen.seen_at).total_seconds())
                heard.state = msgspec.json.decode(seen.raw, type=CameraStatus).state
                heard.changes.append((time.monotonic(), heard.state))
            self._lock.notify_all()

    def _await(self, name: str, state: str) -> None:
        with self._lock:
            if not self._lock.wait_for(lambda: self._heard[name].state == state, GIVE_UP_S):
                raise TimeoutError(f"{name}: not {state} after {GIVE_UP_S} s, but {self._heard[name].state}")


def _resources(pid: int) -> tuple[int, int]:
    """Threads and open files of a process, the fewest over some seconds: FFmpeg opens a stream with more."""
    there = Path("/proc") / str(pid)
    threads, files = [], []
    for _ in range(20):
        time.sleep(0.2)
        threads.append(len(list((there / "task").iterdir())))
        files.append(len(list((there / "fd").iterdir())))
    return min(threads), min(files)
