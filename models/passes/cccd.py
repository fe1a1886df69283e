"""The citizen card's QR, 2021 (CCCD) and 2024 (Căn cước).

`number|old CMND|name|ddMMyyyy born|Nam/Nữ|residence|ddMMyyyy issued`; the 2024 card may leave the old number empty and
appends further fields.
"""

import re
from datetime import date

from models.passes.names import name_key, tidy
from models.passes.number import Sex, contradictions
from models.passes.scan import Pass

_FIELDS = 7
_CARD = re.compile(r"[0-9]{12}\|(?:[0-9]{9})?\|")
_NEARLY = re.compile(r"[0-9A-Za-z]{6,16}\|[^|]{0,16}\|[^|]*\|(?:[0-9]{8}\||[^|]*\|(?:Nam|Nữ|Nu)\|)", re.IGNORECASE)
_SEX: dict[str, Sex] = {"NAM": "male", "NU": "female"}


def matches(text: str) -> bool:
    """Also a card whose number is damaged, so that it is told so."""
    return _CARD.match(text) is not None or (text.count("|") >= _FIELDS - 1 and _NEARLY.match(text) is not None)


def read(text: str) -> Pass:
    """Of a text that `matches`."""
    fields = [tidy(field) for field in text.split("|")]
    number, old, name, born, sex_word, address, issued_on = (*fields, *[""] * _FIELDS)[:_FIELDS]
    birth, issued = _day(born), _day(issued_on)
    sex = _SEX.get(name_key(sex_word))
    is_number = re.fullmatch(r"[0-9]{12}", number) is not None
    is_old = re.fullmatch(r"[0-9]{9}", old) is not None
    reasons = contradictions(number, birth.year if birth else None, sex) if is_number else ["number"]
    if old and not is_old:
        reasons.append("old_number")
    if birth is None:
        reasons.append("birth_date")
    if issued is not None and birth is not None and issued < birth:
        reasons.append("issue_date")
    if len(fields) < _FIELDS or not name or sex is None or issued is None:
        reasons.append("format")
    return Pass(
        kind="cccd",
        ids=(*((("cccd", number),) if is_number else ()), *((("cmnd", old),) if is_old else ())),
        name=name or None,
        birth=birth,
        birth_year=birth.year if birth else None,
        sex=sex,
        fields={"address": address, "issued_on": issued.isoformat() if issued else None},
        reasons=tuple(reasons),
    )


def _day(text: str) -> date | None:
    if not re.fullmatch(r"[0-9]{8}", text):
        return None
    try:
        return date(int(text[4:]), int(text[2:4]), int(text[:2]))
    except ValueError:  # 31 November
        return None
