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
    groups = len(raw) // 3
    # All groups at once: each has 32 bits of one long number, and a sum of three never reaches its neighbour.
    total = sum(weight * _spread(values[place : 3 * groups : 3]) for place, weight in enumerate((1, 45, 2025)))
    lanes = total.to_bytes(4 * groups, "big")
    decoded = bytearray(2 * groups)
    decoded[0::2], decoded[1::2] = lanes[2::4], lanes[3::4]
    if last:
        end = values[-2] + 45 * values[-1]
        if end > 255:
            raise BadBase45("a group that stands for no byte")
        decoded.append(end)
    if any(lanes[1::4]):
        raise BadBase45("a group that stands for no bytes")
    return bytes(decoded)


def _spread(values: bytes) -> int:
    lanes = bytearray(4 * len(values))
    lanes[3::4] = values
    return int.from_bytes(lanes, "big")


def encode(raw: bytes) -> str:
    values = bytearray()
    for word in struct.unpack(f">{len(raw) // 2}H", raw[: len(raw) // 2 * 2]):
        high, rest = divmod(word, 2025)
        values += bytes([rest % 45, rest // 45, high])
    if len(raw) % 2:
        values += bytes([raw[-1] % 45, raw[-1] // 45])
    return values.translate(_DIGITS).decode("ascii")
