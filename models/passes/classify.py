"""Any QR payload -> Pass. Every code that is shown gets an answer, and junk is "not a pass", never "expired"."""

import re
from collections.abc import Callable

from msgspec.structs import replace

from models.passes import cccd, personal
from models.passes.scan import Kind, Pass

_LONGEST_BYTES = 7089
"""What the largest QR symbol holds."""
_BHYT = re.compile(r"(?:[0-9]{10}|[0-9]{12}|[A-Z]{2}[0-9]{13})\|.*\|\$", re.DOTALL)
_VDS_NC = re.compile(r'\{(?=.*"data"\s*:)(?=.*"sig"\s*:)', re.DOTALL)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_FORMATS: tuple[tuple[Callable[[str], bool], Callable[[str], Pass]], ...] = (
    (personal.matches, personal.read),
    (cccd.matches, cccd.read),
)
_UNSUPPORTED_PREFIX: dict[str, Kind] = {"HC1:": "hcert", "shc:/": "shc", "NZCP:/": "nzcp"}
_VENUE_PREFIX = ("NZCOVIDTRACER:", "https://e.coronawarn.app?", "http://qr.tokhaiyte.vn", "https://qr.tokhaiyte.vn")


def classify(payload: bytes) -> Pass:
    """Read and name a code. Never raises; what is wrong with the code is in `reasons` and, to travel, in its facts."""
    code = _read(payload)
    return replace(code, facts=code.facts | {"reasons": " ".join(code.reasons)}) if code.reasons else code


def _read(payload: bytes) -> Pass:
    try:
        text = payload.decode("utf-8").rstrip("\0\r\n")
    except UnicodeDecodeError:
        return Pass(kind="unknown", reasons=("encoding",))
    if len(payload) > _LONGEST_BYTES:
        return Pass(kind="unknown", reasons=("not_a_pass",))
    named = _named(text)
    if named is not None:
        return named
    for matches, read in _FORMATS:
        if matches(text):
            return read(text)
    return Pass(kind="url" if _URL.match(text) else "unknown", reasons=("not_a_pass",))


def _named(text: str) -> Pass | None:
    """Formats that are recognised, not read yet, and posters of venues, which are nobody's pass."""
    for prefix, kind in _UNSUPPORTED_PREFIX.items():
        if text.startswith(prefix):
            return Pass(kind=kind, reasons=("unsupported",))
    if text.startswith(_VENUE_PREFIX):
        return Pass(kind="venue", reasons=("not_a_pass",))
    if _BHYT.fullmatch(text):
        return Pass(kind="bhyt", reasons=("unsupported",))
    if _VDS_NC.match(text):
        return Pass(kind="vds_nc", reasons=("unsupported",))
    return None
