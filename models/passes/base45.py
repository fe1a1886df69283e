"""Base45 (RFC 9285): two bytes as three characters of a QR code's alphanumeric mode."""

import struct

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = bytes.maketrans(_ALPHABET, bytes(range(45)))
_DIGITS = bytes.maketrans(bytes(range(45)), _ALPHABET)


class BadBase45(ValueError):
    """A character, a length or a group that is none."""


def decode(text: str) -> bytes:
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise BadBase45("a character outside the alphabet") from error
    if raw.translate(None, _ALPHABET):
        raise BadBase45("a character outside the alphabet")
    last = len(raw) % 3
    if last == 1:
        raise BadBase45("one character too many")
    values = raw.translate(_VALUES)
    groups = len(raw) // 3 * 3
    words = [
        low + 45 * middle + 2025 * high
        for low, middle, high in zip(values[0:groups:3], values[1:groups:3], values[2:groups:3], strict=True)
    ]
    try:
        decoded = struct.pack(f">{len(words)}H", *words)
        return decoded + bytes([values[-2] + 45 * values[-1]]) if last else decoded
    except (struct.error, ValueError) as error:  # a group of three above 65535, of two above 255
        raise BadBase45("a group that stands for no bytes") from error


def encode(raw: bytes) -> str:
    values = bytearray()
    for word in struct.unpack(f">{len(raw) // 2}H", raw[: len(raw) // 2 * 2]):
        high, rest = divmod(word, 2025)
        values += bytes([rest % 45, rest // 45, high])
    if len(raw) % 2:
        values += bytes([raw[-1] % 45, raw[-1] // 45])
    return values.translate(_DIGITS).decode("ascii")
