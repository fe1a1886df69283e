"""Until when a zone may be left with an escort: a supervisor's word, kept on the disk, for eyes and boxes restart."""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

LONGEST = timedelta(hours=12)
_Windows = dict[str, dict[str, datetime]]


class Escorts:
    """`put` a window; `standing` are those of cameras and zones that have not ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._windows: _Windows = {}
        if path.exists():
            try:
                self._windows = msgspec.json.decode(path.read_bytes(), type=_Windows)
            except msgspec.MsgspecError:
                path.unlink()  # half a window is none: whoever leaves alarms, which is the safe side

    def put(self, camera: str, zone: str, until: datetime, now: datetime) -> None:
        """A window that has ended already takes an earlier one back."""
        with self._lock:
            self._windows = self._standing(now)
            self._windows.setdefault(camera, {})[zone] = min(until, now + LONGEST)
            part = self._path.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(self._windows))
            part.replace(self._path)

    def standing(self, now: datetime) -> Mapping[str, Mapping[str, datetime]]:
        with self._lock:
            return self._standing(now)

    def _standing(self, now: datetime) -> _Windows:
        found = {
            camera: {zone: until for zone, until in zones.items() if until > now}
            for camera, zones in self._windows.items()
        }
        return {camera: zones for camera, zones in found.items() if zones}
