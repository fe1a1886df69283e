"""What central asks of a box while somebody waits, signed for it alone, and the box's answer, sealed to central."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import UNSET, Struct, UnsetType

from models.wire import seal
from models.wire.events import Box as Region
from models.wire.snapshot import Signed, Untrusted

_ABOUT = b"cua-o command v1\0"
EXPIRY_S = 30
"""Nobody waits longer, neither for a command nor for its answer."""


class Command(Struct, frozen=True, kw_only=True):
    site: str
    edge: str
    id: str
    at: datetime
    ask: Literal["config", "check", "still", "probe", "escort"]
    """The box's file; whether it would take this one; a camera's newest picture; what a camera that it has not yet
    really sends; that a zone may be left with an escort `until` then."""
    camera: str | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    until: datetime | UnsetType = UNSET
    yaml: str | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    """Of the camera to be tried, as the box's file has them."""
    lens_degrees: float | UnsetType = UNSET
    distance_m: float | UnsetType = UNSET


class Answer(Struct, frozen=True, kw_only=True):
    id: str
    fault: str | UnsetType = UNSET
    """Why there is none: `camera`, `busy`, `no_picture`, `clock`, `probe`."""
    refused: str | UnsetType = UNSET
    """Why the box would not take the file: `file:line: path: what and what to do`."""
    yaml: str | UnsetType = UNSET
    jpeg: bytes | UnsetType = UNSET
    seen_at: datetime | UnsetType = UNSET
    bodies: tuple[Region, ...] | UnsetType = UNSET
    """Who or what was seen in the picture; absent where nobody counts."""
    found: dict[str, Any] | UnsetType = UNSET
    """As edge.doctor's Found, with `advice`."""


def sign(command: Command, key: Ed25519PrivateKey) -> bytes:
    body = msgspec.json.encode(command)
    return msgspec.json.encode(Signed(body=body, signature=key.sign(_ABOUT + body)))


def verify(document: bytes, key: Ed25519PublicKey, *, site: str, edge: str) -> Command:
    """Raises Untrusted."""
    try:
        signed = msgspec.json.decode(document, type=Signed)
        key.verify(signed.signature, _ABOUT + signed.body)
        told = msgspec.json.decode(signed.body, type=Command)
    except InvalidSignature:
        raise Untrusted("not signed by central's key; is `sign_key` what `python -m central keys` prints?") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Untrusted(f"not a command: {error}") from error
    if (told.site, told.edge) != (site, edge):
        raise Untrusted(f"made for {told.site}/{told.edge}, not for this box")
    return told


def close(answer: Answer, recipient: bytes) -> str:
    """A file may hold passwords, a picture people: only central reads it."""
    return seal.close(msgspec.json.encode(answer), recipient)


def open_(sealed: str, keys: Mapping[str, X25519PrivateKey]) -> Answer:
    """Raises models.wire.seal.Unopenable."""
    try:
        return msgspec.json.decode(seal.open_(sealed, keys), type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise seal.Unopenable(f"not an answer: {error}") from error
