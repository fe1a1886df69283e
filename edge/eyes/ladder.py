"""What is left out while a box has too much to do, camera by camera, the least important first."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from edge.eyes.camera import Decode

Step = Literal["full", "still", "keys", "paused"]
STEPS: tuple[Step, ...] = ("full", "still", "keys", "paused")
"""Everything; pictures in which something stirs; key frames alone; nothing, and the camera says so."""
RANK: Mapping[str, int] = {"traffic": 0, "quarantine": 1, "checkpoint": 2}
"""A street can be counted later; a queue at a gate cannot wait."""
LATE_S = 0.3
CALM_S = 0.1
DECODE: Mapping[Step, Decode | None] = MappingProxyType({"full": None, "still": None, "keys": "keys", "paused": "none"})
"""What of a stream is decoded at a step; None: as its camera is set."""
DOWN_EVERY_S = 2.0
UP_EVERY_S = 10.0
"""Room must last so long before one camera gets back one step: the other way round it would swing."""


class Ladder:
    """`see` how late each camera is, once a second; it tells each one's step."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._changed_s = float("-inf")
        self._calm_since_s: float | None = None

    def see(self, watches: Mapping[str, str], late_s: Mapping[str, float], now_s: float) -> dict[str, Step]:
        """`watches`: camera to its kind."""
        self._steps = {camera: self._steps.get(camera, 0) for camera in watches}
        worst_s = max((late_s.get(camera, 0.0) for camera in watches), default=0.0)
        if worst_s > CALM_S:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        if worst_s > LATE_S and now_s - self._changed_s >= DOWN_EVERY_S:
            for _ in range(max(1, len(watches) // 4)):  # a box of forty cameras cannot shed them one by one
                self._move(watches, 1, now_s)
        elif self._calm_since_s is not None and now_s - max(self._calm_since_s, self._changed_s) >= UP_EVERY_S:
            self._move(watches, -1, now_s)
        return {camera: STEPS[step] for camera, step in self._steps.items()}

    def _move(self, watches: Mapping[str, str], by: int, now_s: float) -> None:
        """One camera by one step. All of a kind give way wholly before any of the next kind does."""
        able = [camera for camera, step in self._steps.items() if 0 <= step + by < len(STEPS)]
        if not able:
            return
        chosen = min(able, key=lambda camera: (by * RANK.get(watches[camera], 0), by * self._steps[camera], camera))
        self._steps[chosen] += by
        self._changed_s = now_s
