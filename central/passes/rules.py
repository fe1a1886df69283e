"""What of a scan may be believed. Pure."""

import math
import re
from datetime import datetime, timedelta

from msgspec import UNSET

from models.passes.names import name_key
from models.passes.outcome import Outcome
from models.wire.events import Event
from models.wire.seal import Identity


def contradicts(identity: Identity, *, registered_name_key: str, registered_birth: str) -> bool:
    """Whether code and registry name different people for one number. What is left out is no contradiction."""
    if identity.name is not UNSET and "*" not in identity.name and name_key(identity.name) != registered_name_key:
        return True
    return bool(identity.birth is not UNSET and registered_birth and identity.birth[:4] != registered_birth[:4])


def moment_of(event: Event, now: datetime, *, late: bool) -> datetime:
    """For which moment a scan is decided: one that comes late is judged as of when the holder stood there."""
    return min(event.time, now) if late and event.clock != "unset" else now


def differs(shown: Outcome, decided: Outcome) -> bool:
    """Whether somebody has to know. A CHECK that would have been a PASS is not news: an officer has looked."""
    return shown != decided and (shown, decided) != (Outcome.CHECK, Outcome.PASS)


_RUN = "01234567890"
PIN = re.compile("[0-9]{6,12}")


def pin_fault(pin: str) -> str | None:
    """The catalogue's key for what is wrong with a PIN: it is typed at a gate, where others stand beside."""
    if not PIN.fullmatch(pin):
        return "officers.pin_short"
    is_run = pin in _RUN or pin in _RUN[::-1]
    return "officers.pin_plain" if is_run or len(set(pin)) < 3 else None


_LEAST_KM = 1.0
"""Two places are never closer; all that is known of places whose position nobody has given."""
_EARTH_KM = 6371.0


def apart_km(one: tuple[float, float] | None, other: tuple[float, float] | None) -> float:
    """As the crow flies, from latitude and longitude in degrees."""
    if one is None or other is None:
        return _LEAST_KM
    north, east = math.radians(other[0] - one[0]), math.radians(other[1] - one[1])
    half = math.sin(north / 2) ** 2
    half += math.cos(math.radians(one[0])) * math.cos(math.radians(other[0])) * math.sin(east / 2) ** 2
    return max(_LEAST_KM, 2 * _EARTH_KM * math.asin(math.sqrt(half)))


def too_fast(km: float, between: timedelta, most_kmh: float) -> bool:
    """Whether nobody can have been at both places."""
    return km > most_kmh * abs(between.total_seconds()) / 3600
