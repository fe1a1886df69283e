"""Posters of venues, ours and others': people hold them up at a checkpoint too. A poster is nobody's pass."""

from base64 import b64decode
from binascii import Error
from typing import Any

import msgspec
from msgspec import Struct

from models.passes.scan import Pass

_NEW_ZEALAND = "NZCOVIDTRACER:"
_URLS = ("https://e.coronawarn.app?", "http://qr.tokhaiyte.vn", "https://qr.tokhaiyte.vn")


class _Poster(Struct):
    """New Zealand's, HISO 10067."""

    gln: str = ""
    opn: str = ""
    adr: str = ""


def matches(text: str) -> bool:
    return text.startswith((_NEW_ZEALAND, *_URLS))


def read(text: str) -> Pass:
    """Of a text that `matches`."""
    return Pass(kind="venue", fields=_fields(text), reasons=("not_a_pass",))


def _fields(text: str) -> dict[str, Any]:
    if not text.startswith(_NEW_ZEALAND):
        return {"url": text}
    try:
        poster = msgspec.json.decode(b64decode(text[len(_NEW_ZEALAND) :]), type=_Poster)
    except (Error, ValueError, RecursionError):
        return {}
    return {"venue": poster.gln, "name": poster.opn, "address": poster.adr}
