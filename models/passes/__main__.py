"""`python -m models.passes [--at TIME]`: what codes say, one JSON line for each line of the input.

A line is a code's text, or `{"text": …, "certificates": [base64 of DER, …], "at": TIME}`. Times are ISO 8601; without
one it is now.
"""

import argparse
import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec

from models.passes import cbor, cose, trust
from models.passes.classify import classify
from models.passes.names import name_key
from models.passes.scan import Pass

_MOST_LINE_BYTES = 1 << 20
_ALGORITHMS = {cose.ES256: "ES256", cose.PS256: "PS256", cose.EDDSA: "EdDSA"}


def moment(given: Any) -> datetime:
    """An ISO time or epoch seconds; without a zone it is UTC. Raises ValueError."""
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return datetime.fromtimestamp(given, UTC)
        read = datetime.fromisoformat(str(given).strip())
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"{given!r} is no time; write it as 2021-09-21T06:00:00Z") from error


def answer(line: bytes, now: datetime) -> dict[str, Any]:
    """Never raises."""
    text, keys, reasons = line, trust.Keys(), []
    given = _request(line)
    if given is not None:
        text = str(given["text"]).encode("utf-8", "surrogatepass")
        keys = trust.Keys(_keys(given.get("certificates")))
        if given.get("at") is not None:
            try:
                now = moment(given["at"])
            except ValueError:
                reasons.append("clock_unset")
    code = trust.confirm(classify(text), keys, now=None if reasons else now)
    return {
        "kind": code.kind,
        "fields": _fields(code),
        "signature": code.signature,
        "expired": trust.expired(code, now),
        "usage": code.usage,
        "reasons": list(dict.fromkeys([*code.reasons, *reasons])),
    }


def _request(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        given = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return given if isinstance(given, dict) and isinstance(given.get("text"), str) else None


def _keys(certificates: Any) -> Iterator[trust.Key]:
    for certificate in certificates if isinstance(certificates, list) else []:
        try:
            body = re.sub(r"-----[^-]*-----|\s", "", certificate)  # PEM is the same between two lines
            yield trust.from_certificate(b64decode(body + "=" * (-len(body) % 4)))
        except (trust.Untrusted, TypeError, ValueError):  # a list may hold one that cannot be used
            continue


def _fields(code: Pass) -> dict[str, Any]:
    told: dict[str, Any] = dict(code.ids)
    if code.name:
        told |= {"name": code.name, "name_key": name_key(code.name)}
    told |= {"birth": code.birth, "birth_year": code.birth_year, "sex": code.sex}
    told |= {"valid_from": code.valid_from, "valid_until": code.valid_until}
    if code.signed:
        told |= {"kid": code.signed.kid.hex(), "algorithm": _ALGORITHMS.get(code.signed.alg, code.signed.alg)}
    told |= {name: value for name, value in code.facts.items() if name != "reasons"}
    return {name: value for name, value in (told | _json(code.fields)).items() if value is not None}


def _json(value: Any) -> Any:
    """As JSON has it."""
    match value:
        case dict():
            return {key.hex() if isinstance(key, bytes) else str(key): _json(one) for key, one in value.items()}
        case cbor.Tag():
            return _json(value.value)
        case list():
            return [_json(one) for one in value]
        case bytes():
            return value.hex()
    return value


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(_MOST_LINE_BYTES):
        whole = line.endswith(b"\n") or len(line) < _MOST_LINE_BYTES
        while not whole:  # what is longer is no code: one answer for all of it
            whole = (more := stream.readline(_MOST_LINE_BYTES)).endswith(b"\n") or not more
        yield line.rstrip(b"\r\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.passes", description=__doc__)
    parser.add_argument("--at", type=moment, default=None, metavar="TIME", help="decide as of then")
    at = parser.parse_args().at
    for line in _lines(sys.stdin.buffer):
        sys.stdout.buffer.write(msgspec.json.encode(answer(line, at or datetime.now(UTC))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
