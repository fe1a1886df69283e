"""What of a scan may be believed. Pure."""

from msgspec import UNSET

from models.passes.names import name_key
from models.wire.seal import Identity


def contradicts(identity: Identity, *, registered_name_key: str, registered_birth: str) -> bool:
    """Whether code and registry name different people for one number. What is left out is no contradiction."""
    if identity.name is not UNSET and "*" not in identity.name and name_key(identity.name) != registered_name_key:
        return True
    return bool(identity.birth is not UNSET and registered_birth and identity.birth[:4] != registered_birth[:4])
