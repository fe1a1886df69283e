"""What of a scan may be believed. Pure."""

from datetime import datetime

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
