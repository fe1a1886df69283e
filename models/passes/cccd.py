"""The citizen card's QR, 2021 (CCCD) and 2024 (Căn cước).

`number|old CMND|name|ddMMyyyy born|Nam/Nữ|residence|ddMMyyyy issued`; the 2024 card may leave the old number empty and
appends further fields. The number has no check digit, but it repeats the holder's sex and year of birth: a change of
either contradicts the card's own fields.
"""

import re
from datetime import date
from typing import Literal

from models.passes.names import name_key
from models.passes.scan import Pass

_FIELDS = 7
_CARD = re.compile(r"[0-9]{12}\|(?:[0-9]{9})?\|")
_SEX: dict[str, Literal["male", "female"]] = {"NAM": "male", "NU": "female"}
_PROVINCES = """
    001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033
    034 035 036 037 038 040 042 044 045 046 048 049 051 052 054 056 058 060 062 064 066
    067 068 070 072 074 075 077 079 080 082 083 084 086 087 089 091 092 093 094 095 096
"""
PROVINCES = frozenset(_PROVINCES.split())
"""Circular 07/2016, appendix 1; the codes survive the merger of 2025. 1xx to 9xx: born abroad."""


def matches(text: str) -> bool:
    return _CARD.match(text) is not None


def read(text: str) -> Pass:
    """Of a text that `matches`."""
    fields = [field.strip() for field in text.split("|")]
    number, old, *rest = fields
    name, born, sex_word = (*rest, "", "", "")[:3]
    birth = _day(born)
    sex = _SEX.get(name_key(sex_word))
    reasons = contradictions(number, birth, sex)
    if birth is None:
        reasons.append("birth_date")
    if len(fields) < _FIELDS or not name or sex is None or _day((*rest, "", "", "", "", "")[4]) is None:
        reasons.append("format")
    return Pass(
        kind="cccd",
        ids=(("cccd", number), *((("cmnd", old),) if old else ())),
        name=name or None,
        birth=birth,
        birth_year=birth.year if birth else None,
        sex=sex,
        reasons=tuple(reasons),
    )


def contradictions(number: str, birth: date | None, sex: Literal["male", "female"] | None) -> list[str]:
    """Where a 12-digit personal number denies itself or what stands beside it: province, century, year."""
    reasons = []
    if number[0] == "0" and number[:3] not in PROVINCES:
        reasons.append("province")
    century, is_female = divmod(int(number[3]), 2)
    if (birth and birth.year // 100 - 19 != century) or (sex and is_female != (sex == "female")):
        reasons.append("century")
    if birth and birth.year % 100 != int(number[4:6]):
        reasons.append("year")
    return reasons


def _day(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{8}", text):
        return None
    try:
        return date(int(text[4:]), int(text[2:4]), int(text[:2]))
    except ValueError:  # 31 November
        return None
