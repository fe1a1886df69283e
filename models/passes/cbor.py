"""CBOR (RFC 8949), as much of it as signed codes hold: small, strict, bounded.

Strangers send this. A full library turns tags into regular expressions, cycles, dates and fractions; here a tag stays a
tag, and what nests too deep, repeats a key, is cut off or goes on after its end is no CBOR.
"""

import struct
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

_MOST_DEPTH = 16
_BREAK = object()
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}  # 23 is `undefined`, which JSON does not know either


class BadCbor(ValueError):
    """Bytes that are not one CBOR item."""


class Tag(NamedTuple):
    number: int
    value: Any


def decode(raw: bytes) -> Any:
    """The one item that `raw` is."""
    try:
        value, end = _item(raw, 0, _MOST_DEPTH)
    except (IndexError, struct.error) as error:
        raise BadCbor("cut off") from error
    except UnicodeDecodeError as error:
        raise BadCbor("text that is not UTF-8") from error
    if end > len(raw):
        raise BadCbor("cut off")
    if value is _BREAK or end != len(raw):
        raise BadCbor("more than one item")
    return value


def _item(raw: bytes, at: int, depth: int) -> tuple[Any, int]:  # noqa: C901, PLR0911, PLR0912  (the table of RFC 8949)
    """The item at `at`, and where it ends: behind the end of `raw` when it is cut off, which `decode` sees."""
    first = raw[at]
    at += 1
    major, short = first >> 5, first & 31
    if short < 24:
        count: int | None = short
    elif short < 28:
        width = 1 << (short - 24)
        count = int.from_bytes(raw[at : at + width], "big")
        at += width
    elif short == 31:
        count = None
    else:
        raise BadCbor("a reserved length")
    if major == 3 or major == 2:  # noqa: PLR1714  (twice as fast as a set)
        if count is None:
            return _chunks(raw, at, major)
        end = at + count
        return (raw[at:end].decode() if major == 3 else raw[at:end]), end
    if major == 7:
        return _simple(raw, at, short, count)
    if major < 2:
        if count is None:
            raise BadCbor("a number without end")
        if major and count >= 1 << 63:
            raise BadCbor("a number that is too small")
        return (-1 - count if major else count), at
    if depth == 0:
        raise BadCbor("nested too deep")
    if major == 5:
        return _map(raw, at, count, depth - 1)
    if major == 4:
        return _array(raw, at, count, depth - 1)
    if count is None:
        raise BadCbor("a tag without end")
    value, at = _item(raw, at, depth - 1)
    if value is _BREAK:
        raise BadCbor("a break that ends nothing")
    return Tag(count, value), at


def _chunks(raw: bytes, at: int, major: int) -> tuple[bytes | str, int]:
    parts = []
    while raw[at] != 0xFF:
        if raw[at] >> 5 != major or raw[at] & 31 == 31:
            raise BadCbor("a string of other things")
        part, at = _item(raw, at, 0)
        parts.append(part)
    return ("" if major == 3 else b"").join(parts), at + 1


def _array(raw: bytes, at: int, count: int | None, depth: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    while count is None or len(values) < count:
        value, at = _item(raw, at, depth)
        if value is _BREAK:
            if count is None:
                break
            raise BadCbor("a break that ends nothing")
        values.append(value)
    return values, at


def _map(raw: bytes, at: int, count: int | None, depth: int) -> tuple[dict[Any, Any], int]:
    values: dict[Any, Any] = {}
    while count is None or len(values) < count:
        first = raw[at]
        if 0x60 <= first < 0x78:  # a short text, as nearly all keys are and most values
            end = at + first - 0x5F
            key: Any = raw[at + 1 : end].decode()
            at = end
        else:
            key, at = _item(raw, at, depth)
            if key is _BREAK and count is None:
                break
            # 1, 1.0 and True would be one key
            if type(key) is not str and type(key) is not int and type(key) is not bytes:
                raise BadCbor("a key that is no text, number or bytes")
        if key in values:
            raise BadCbor("a key twice")
        first = raw[at]
        if 0x60 <= first < 0x78:
            end = at + first - 0x5F
            values[key] = raw[at + 1 : end].decode()
            at = end
        else:
            values[key], at = _item(raw, at, depth)
            if values[key] is _BREAK:
                raise BadCbor("a key without a value")
    return values, at


def _simple(raw: bytes, at: int, short: int, count: int | None) -> tuple[Any, int]:
    if count is None:
        return _BREAK, at
    if short in _FLOATS:
        value = _FLOATS[short].unpack(raw[at - _FLOATS[short].size : at])[0]
        if not isfinite(value):
            raise BadCbor("a number that is none")
        return value, at
    if short in _SIMPLE:
        return _SIMPLE[short], at
    raise BadCbor("a simple value that means nothing here")


def encode(value: Any) -> bytes:  # noqa: PLR0911  (a case a kind)
    """Whole numbers, text, bytes, booleans, lists, maps and tags; shortest form, maps in the order given."""
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case Tag():
            return _head(6, value.number) + encode(value.value)
        case list() | tuple():
            return _head(4, len(value)) + b"".join(map(encode, value))
        case Mapping():
            return _head(5, len(value)) + b"".join(encode(key) + encode(one) for key, one in value.items())
    raise TypeError(f"{type(value).__name__} is not written as CBOR here")


def _head(major: int, count: int) -> bytes:
    if count < 24:
        return bytes([major << 5 | count])
    size = next(size for size in range(4) if count < 1 << (8 << size))
    return bytes([major << 5 | 24 + size]) + count.to_bytes(1 << size, "big")
