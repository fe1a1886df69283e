"""A box's configuration on its way down: the whole YAML file, signed by central for one box alone."""

from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from models.wire.snapshot import Signed, Untrusted

_ABOUT = b"cua-o config v1\0"


class Configuration(Struct, frozen=True, kw_only=True):
    site: str
    edge: str
    at: datetime
    """When it was sent; an older one than the box has is refused."""
    yaml: str


def sign(configuration: Configuration, key: Ed25519PrivateKey) -> bytes:
    body = msgspec.json.encode(configuration)
    return msgspec.json.encode(Signed(body=body, signature=key.sign(_ABOUT + body)))


def verify(document: bytes, key: Ed25519PublicKey, *, site: str, edge: str) -> Configuration:
    """Raises Untrusted."""
    try:
        signed = msgspec.json.decode(document, type=Signed)
        key.verify(signed.signature, _ABOUT + signed.body)
        told = msgspec.json.decode(signed.body, type=Configuration)
    except InvalidSignature:
        raise Untrusted("not signed by central's key; is `sign_key` what `python -m central keys` prints?") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Untrusted(f"not a signed configuration: {error}") from error
    if (told.site, told.edge) != (site, edge):
        raise Untrusted(f"made for {told.site}/{told.edge}, not for this box")
    return told
