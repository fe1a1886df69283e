"""The one detector of an eye, lent to its cameras in turn: whose answer is due first goes first."""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.eyes.frame import Frame
from models.vision.detector import Detections, Detector
from models.vision.stir import Stir


class Turns:
    """A queue that holds one picture of a camera at most: each camera asks from its own thread, and waits.

    Nobody starves. A picture is due some time after it came, so none that comes later is due before one that has
    waited for so long already.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, threading.Event]] = []
        self._lent = False
        self._asked = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, due_s: float, patience_s: float | None = None) -> bool:
        """Wait for the turn; False when it did not come in time. Whoever got it gives it back."""
        with self._lock:
            if not self._lent:
                self._lent = True
                return True
            self._asked += 1
            mine = (due_s, self._asked, threading.Event())
            heapq.heappush(self._waiting, mine)
        if mine[2].wait(patience_s):
            return True
        with self._lock:
            if mine[2].is_set():  # in this very moment
                return True
            self._waiting.remove(mine)
            heapq.heapify(self._waiting)
            return False

    def give(self) -> None:
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[2].set()
            else:
                self._lent = False


class Stale(Exception):
    """The picture grew old while it waited. The next one takes its place in the queue."""


@dataclass(kw_only=True)
class Spent:
    """What one camera asked of the detector."""

    looks: int = 0
    """Pictures that it looked at."""
    spared: int = 0
    """Pictures in which nothing stirred: the last answer stood."""
    stale: int = 0
    """Pictures that grew old in the queue."""


class Seat:
    """One camera's place at the detector. It is asked through `look`; within that, `detect` is the detector's own."""

    PATIENCE_S = 0.25
    """A picture that has waited longer makes room for a newer one of its camera."""
    CELLS = 10
    """A body at the far edge is this many cells tall: what is smaller than a cell stirs nothing."""
    DIFFERENCE = 8
    """Grey levels; a body that is less lighter or darker than the ground is left to `again_s`."""

    def __init__(self, detector: Detector, turns: Turns, *, far_px: float, due_s: float, again_s: float) -> None:
        """`due_s`: how soon after its arrival a picture wants its answer; `again_s`: how long the last answer may stand
        in a still picture.
        """
        self.name, self.family, self.sure, self.input_px = (
            detector.name, detector.family, detector.sure, detector.input_px,
        )  # fmt: skip
        self.spent = Spent()
        self._detector = detector
        self._turns = turns
        self._due_s, self._again_s = due_s, again_s
        self._stir = Stir(step_px=min(max(round(far_px / self.CELLS), 2), 8), difference=self.DIFFERENCE)
        self._answer: tuple[float, Detections] | None = None
        self._kept_due_s: float | None = None
        self._due_at_s = 0.0
        self._begun = False

    def look(self, frame: Frame, ask: Callable[[], Detections], *, always: bool = False) -> Detections:
        """What `ask` finds by `detect`. While nothing stirs the last answer stands, so that whoever stands still stays
        where they are. Raises Stale.
        """
        stirred = self._stir.see(frame.y)
        if not (stirred or always) and self._answer and frame.stream_s - self._answer[0] < self._again_s:
            self.spent.spared += 1
            return self._answer[1]
        self._due_at_s = frame.arrived_s + self._due_s if self._kept_due_s is None else self._kept_due_s
        self._begun, self._answer = False, None
        try:
            found = ask()
        except Stale:
            self._kept_due_s = self._due_at_s
            self.spent.stale += 1
            raise
        self._kept_due_s, self._answer = None, (frame.stream_s, found)
        self.spent.looks += 1
        return found

    def detect(self, bgr: NDArray[np.uint8], *, person_px: float | None = None) -> Detections:
        """A turn of its own for each part of a picture; once begun, a picture is looked at to its end."""
        if not self._turns.take(self._due_at_s, None if self._begun else self.PATIENCE_S):
            raise Stale
        self._begun = True
        try:
            return self._detector.detect(bgr, person_px=person_px)
        finally:
            self._turns.give()
