"""The EU digital COVID certificate and Viet Nam's vaccine passport: `HC1:` base45(zlib(COSE_Sign1(CWT))).

A reason says at which of these layers it stopped. The innermost is read by `trust.confirm`, which looks for its key.
"""

import re
import zlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from models.passes import base45, cbor, cose
from models.passes.scan import Pass, Scalar

_PREFIX = "HC1:"
_NEARLY_PREFIX = re.compile(r"HC|[A-Z]{2}[0-9]:")
_ALPHABET_ONLY = re.compile(r"[0-9A-Z $%*+\-./:]{100,}")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_MOST_BYTES = 16_384
"""A code holds 4,296 characters, and real certificates inflate to a kilobyte: the rest is a bomb."""
_HCERT = -260
_DETECTED, _NOT_DETECTED = "260373001", "260415000"
KINDS = {"v": "vaccination", "t": "test", "r": "recovery"}
_TEXTS = {
    "v": ("tg", "vp", "mp", "ma", "dt", "co", "is", "ci"),
    "t": ("tg", "tt", "sc", "tr", "co", "is", "ci"),
    "r": ("tg", "fr", "co", "is", "df", "du", "ci"),
}
_NAMES = ("fnt", "fn", "gnt", "gn")
_DAYS = ("dt", "sc", "fr", "df", "du")


def matches(text: str) -> bool:
    """Also what only lacks the right prefix, so that it is told so."""
    return text.startswith(_PREFIX) or _lacks_prefix(text)


def _lacks_prefix(text: str) -> bool:
    if text[: len(_PREFIX)].upper() == _PREFIX:
        return True
    if not _ALPHABET_ONLY.fullmatch(text):
        return False
    if _NEARLY_PREFIX.match(text):
        return True
    try:
        return _ZLIB.match(base45.decode(text[: 3 * 3])) is not None
    except base45.BadBase45:
        return False


def read(text: str) -> Pass:
    """Of a text that `matches`: down to what is signed. `trust.confirm` reads that."""
    if not text.startswith(_PREFIX):
        return Pass(kind="hcert", reasons=("prefix",))
    try:
        packed = base45.decode(text[len(_PREFIX) :])
    except base45.BadBase45:
        return Pass(kind="hcert", reasons=("base45",))
    raw = _inflated(packed)
    if raw is None:
        return Pass(kind="hcert", reasons=("compression",))
    try:
        signed = cose.read(raw)
    except cbor.BadCbor:
        return Pass(kind="hcert", reasons=("cbor",))
    except cose.BadCose:
        return Pass(kind="hcert", reasons=("cose",))
    return Pass(kind="hcert", signed=signed, signature="unknown_key")


def _inflated(packed: bytes) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(packed, _MOST_BYTES)
    except zlib.error:
        return None
    return raw if stream.eof and not stream.unused_data else None


def of_payload(payload: bytes) -> Pass:
    """What the signed part says."""
    try:
        claims = cose.claims(payload)
    except cbor.BadCbor:
        return Pass(kind="hcert", signature="unknown_key", reasons=("cbor",))
    wrapped = claims.get(_HCERT)
    certificate = wrapped.get(1) if isinstance(wrapped, dict) else None
    issuer, issued, expires = claims.get(cose.ISSUER), claims.get(cose.ISSUED), cose.moment(claims.get(cose.EXPIRES))
    reason = _fault(certificate, expires)
    told = _told(certificate) if isinstance(certificate, dict) and not reason else {}
    return Pass(
        kind="hcert",
        **told | {"fields": {"issuer": issuer, "certificate": certificate, **told.get("fields", {})}},
        valid_from=cose.moment(issued),
        valid_until=expires,
        signature="unknown_key",
        reasons=(reason,) if reason else (),
    )


def _fault(certificate: Any, expires: datetime | None) -> str | None:
    if not isinstance(certificate, dict):
        return "cbor"
    if not _is_certificate(certificate):
        return "schema"
    return "no_expiry" if expires is None else None


def _told(certificate: dict[str, Any]) -> dict[str, Any]:
    """What a sound certificate says, in the words of Pass."""
    name = certificate["nam"]
    letter = next(letter for letter in KINDS if certificate.get(letter))
    entry = certificate[letter][-1]  # early vaccination codes list every dose
    shown, latin = _joined(name, "fn", "gn"), _joined(name, "fnt", "gnt").replace("<", " ")
    born = certificate["dob"]
    birth = _day(born)
    return {
        "name": shown or latin,
        "birth": birth,
        "birth_year": birth.year if birth else int(born[:4]) if re.match(r"[0-9]{4}(-|$)", born) else None,
        "facts": _facts(letter, entry),
        "fields": {"contains": KINDS[letter], "uci": entry["ci"], "name_latin": latin, "born": born},
    }


def _joined(name: Mapping[str, Any], *parts: str) -> str:
    return " ".join(" ".join(str(name.get(part) or "") for part in parts).split())


def _facts(letter: str, entry: Mapping[str, Any]) -> dict[str, Scalar]:
    """In the words of the vocabulary. A complete course of one dose protects as one of two: it counts as two."""
    if letter == "v":
        doses = min(max(entry["dn"], 2) if entry["dn"] >= entry["sd"] else entry["dn"], 99)
        return {"doses": doses, "last_dose_on": entry["dt"][:10]}
    if letter == "r":
        return {"recovered_on": entry["df"][:10]}
    taken = _instant(entry["sc"])
    fact = {_DETECTED: "last_test_positive_at", _NOT_DETECTED: "last_test_negative_at"}.get(entry["tr"])
    return {fact: taken.isoformat()} if fact and taken else {}


def _is_certificate(certificate: dict[str, Any]) -> bool:
    """What every version of the schema asks for; the sizes and patterns that states do not keep are left out."""
    name = certificate.get("nam")
    if not isinstance(name, dict) or not any(isinstance(name.get(part), str) and name[part] for part in _NAMES):
        return False
    if not isinstance(certificate.get("ver"), str) or not isinstance(certificate.get("dob"), str):
        return False
    held = [letter for letter in KINDS if certificate.get(letter)]
    if len(held) != 1:
        return False
    entries = certificate[held[0]]
    return isinstance(entries, list) and len(entries) < 10 and all(_is_entry(held[0], entry) for entry in entries)


def _is_entry(letter: str, entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if any(not isinstance(entry.get(name), str) for name in _TEXTS[letter]):
        return False
    if letter == "v" and any(type(entry.get(name)) is not int or entry[name] < 1 for name in ("dn", "sd")):
        return False
    return all(_day(entry[name]) for name in _DAYS if name in _TEXTS[letter])


def _day(text: str) -> date | None:
    """Some states write a day with a time behind it."""
    try:
        return date.fromisoformat(text[:10]) if len(text) >= 10 else None
    except ValueError:
        return None


def _instant(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
