"""Any QR payload -> Pass. Every code that is shown gets an answer, and junk is "not a pass", never "expired"."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from models.passes import bhyt, cccd, city_pass, hcert, personal, venue
from models.passes.scan import Kind, Pass

_LONGEST_BYTES = 7089
"""What the largest QR symbol holds."""
_VDS_NC = re.compile(r'\{(?=.*"data"\s*:)(?=.*"sig"\s*:)', re.DOTALL)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_FORMATS: tuple[tuple[Callable[[str], bool], Callable[[str], Pass]], ...] = (
    (city_pass.matches, city_pass.read),
    (hcert.matches, hcert.read),
    (venue.matches, venue.read),
    (bhyt.matches, bhyt.read),
    (personal.matches, personal.read),
    (cccd.matches, cccd.read),
)
_UNSUPPORTED_PREFIX: dict[str, Kind] = {"shc:/": "shc", "NZCP:/": "nzcp"}


def classify(payload: bytes) -> Pass:
    """Read and name a code. Never raises; what is wrong with the code is in `reasons` and, to travel, in its facts."""
    code = _read(payload)
    return replace(code, facts=code.facts | {"reasons": " ".join(code.reasons)}) if code.reasons else code


def _read(payload: bytes) -> Pass:
    if len(payload) > _LONGEST_BYTES:
        return Pass(kind="unknown", reasons=("not_a_pass",))
    try:
        text = payload.decode("utf-8-sig").rstrip("\0\r\n")
    except UnicodeDecodeError:
        return Pass(kind="unknown", reasons=("encoding",))
    for prefix, kind in _UNSUPPORTED_PREFIX.items():
        if text.startswith(prefix):
            return Pass(kind=kind, reasons=("unsupported",))
    for matches, read in _FORMATS:
        if matches(text):
            return read(text)
    if _VDS_NC.match(text):
        return Pass(kind="vds_nc", fields=_vds_header(payload), reasons=("unsupported",))
    return Pass(kind="url" if _URL.match(text) else "unknown", reasons=("not_a_pass",))


class _Data(Struct):
    hdr: dict[str, str | int] = {}


class _VdsNc(Struct):
    data: _Data


def _vds_header(payload: bytes) -> dict[str, Any]:
    """What ICAO's code is, and who has signed it: not verified, but named."""
    try:
        header = msgspec.json.decode(payload, type=_VdsNc).data.hdr
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: header[key] for key, name in (("t", "type"), ("v", "version"), ("is", "issuer")) if key in header}
