"""How the box itself is: what its own files say, without a library."""

import os
import shutil
from pathlib import Path

from msgspec import UNSET, UnsetType

from models.wire.events import Machine

_THERMAL = Path("/sys/class/thermal")


def look(folder: Path, up_s: float) -> Machine:
    """`folder`: on the disk that matters. A figure that this kernel does not give is left out or 0."""
    disk = shutil.disk_usage(folder)
    return Machine(
        up_s=int(up_s),
        load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        memory=_memory(Path("/proc/meminfo")),
        disk=round(disk.used / disk.total, 3),
        celsius=_celsius(_THERMAL),
    )


def _memory(file: Path) -> float:
    try:
        lines = (line.split() for line in file.read_text(encoding="ascii").splitlines())
        kib = {words[0]: int(words[1]) for words in lines if len(words) > 1}
        return round(1 - kib["MemAvailable:"] / kib["MemTotal:"], 3)
    except (OSError, KeyError, ValueError, ZeroDivisionError):
        return 0.0


def _celsius(folder: Path) -> float | UnsetType:
    """The hottest of the sensors."""
    found = []
    for sensor in folder.glob("thermal_zone*/temp"):
        try:
            found.append(int(sensor.read_text(encoding="ascii")) / 1000)
        except (OSError, ValueError):
            continue
    return max(found, default=UNSET)
