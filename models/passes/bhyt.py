"""The health insurance card's QR, fields of `|`, texts as hexadecimal of UTF-8, `-` for nothing, `$` at the end.

Old layout: number, name, birth, sex, address, clinic, valid from, valid until, issued. The new one appends the managing
code, a parent, the benefit level, since when five years are full, a check string, one more, the issuing office.
"""

import re
from datetime import date, datetime, time, timedelta

from models.passes.facts import LOCAL
from models.passes.names import tidy
from models.passes.number import PROVINCES, Sex, contradictions
from models.passes.scan import Pass

_OLD_FIELDS, _NEW_FIELDS = 9, 16
_CARD = re.compile(r"[A-Z]{2}[0-9]{13}\||[0-9]{10}\||[0-9]{12}\|")
_NEARLY = re.compile(r"[0-9A-Za-z]{8,18}\|(?:[0-9a-fA-F]{4,}|[^|]*)\|[^|]*\|[0-9]?\|")
_LETTERED = re.compile(r"[A-Z]{2}([0-9])([0-9]{2})[0-9]{10}")
_OFFICES = frozenset({"97", "98", "99"})
"""Of the army and the police, which belong to no province."""
_SEX: dict[str, Sex] = {"1": "male", "2": "female"}


def matches(text: str) -> bool:
    """Also a card whose number or whose end is damaged, so that it is told so."""
    ends = text.rstrip().endswith("|$")
    if _CARD.match(text):
        return ends or text.count("|") >= _OLD_FIELDS - 1
    return ends and text.count("|") >= _OLD_FIELDS and _NEARLY.match(text) is not None


def read(text: str) -> Pass:
    """Of a text that `matches`."""
    fields = [tidy(field) for field in text.split("|")]
    ended = fields[-1] == "$"
    held = [("" if field == "-" else field) for field in (fields[:-1] if ended else fields)]
    number, name_hex, born, sex_digit, address_hex, clinic, since, until, issued_on = (*held, *[""] * 9)[:9]
    manager, parent_hex, level, five_years, check, _, office_hex = (*held[9:], *[""] * 7)[:7]
    reasons: list[str] = []
    birth = _day(born)
    birth_year = birth.year if birth else int(born) if re.fullmatch(r"(18|19|20)[0-9]{2}", born) else None
    sex = _SEX.get(sex_digit)
    reasons += _about_number(number, birth_year, sex)
    texts = [_unhexed(field) for field in (name_hex, address_hex, parent_hex, office_hex)]
    if any(plain is None for plain in texts):
        reasons.append("hex")
    if birth_year is None:
        reasons.append("birth_date")
    days = [_day(field) for field in (since, until, issued_on, five_years)]
    missing = any(field and day is None for field, day in zip((since, until, issued_on, five_years), days, strict=True))
    since_day, until_day = days[:2]
    if since_day and until_day and until_day < since_day:
        reasons.append("valid_dates")
    if not ended or len(held) < _OLD_FIELDS or not name_hex or sex is None or missing:
        reasons.append("format")
    name, address, parent, office = (
        raw if plain is None else plain
        for raw, plain in zip((name_hex, address_hex, parent_hex, office_hex), texts, strict=True)
    )
    told = {
        "address": address,
        "clinic": clinic,
        "valid_from": days[0],
        "valid_until": days[1],
        "issued_on": days[2],
        "manager": manager,
        "parent": parent,
        "benefit_level": level,
        "five_years_from": days[3],
        "check": check,
        "office": office,
    }
    return Pass(
        kind="bhyt",
        ids=() if "number" in reasons else ((("cccd" if len(number) == 12 else "bhyt"), number),),
        name=name or None,
        birth=birth,
        birth_year=birth_year,
        sex=sex,
        fields={key: one.isoformat() if isinstance(one, date) else one for key, one in told.items() if one},
        valid_from=datetime.combine(days[0], time(), LOCAL) if days[0] else None,
        valid_until=datetime.combine(days[1] + timedelta(days=1), time(), LOCAL) if days[1] else None,
        reasons=tuple(reasons),
    )


def _about_number(number: str, birth_year: int | None, sex: Sex | None) -> list[str]:
    if lettered := _LETTERED.fullmatch(number):
        benefit, province = lettered.groups()
        reasons = [] if "1" <= benefit <= "5" else ["benefit"]
        return reasons if f"0{province}" in PROVINCES or province in _OFFICES else [*reasons, "province"]
    if re.fullmatch(r"[0-9]{12}", number):
        return contradictions(number, birth_year, sex)
    return [] if re.fullmatch(r"[0-9]{10}", number) else ["number"]


def _unhexed(field: str) -> str | None:
    """None when it is not hexadecimal of UTF-8: cards with a lost digit exist."""
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2})*", field):
        return None
    try:
        return tidy(bytes.fromhex(field).decode())
    except UnicodeDecodeError:
        return None


def _day(text: str) -> date | None:
    found = re.fullmatch(r"([0-9]{2})/([0-9]{2})/([0-9]{4})", text)
    if found is None:
        return None
    try:
        return date(int(found[3]), int(found[2]), int(found[1]))
    except ValueError:
        return None
