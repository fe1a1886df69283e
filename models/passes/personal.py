"""The national personal QR (Decision 1405/QĐ-BTTTT, v1.1): `SoGiayTo|HoTen|NgaySinh|LoaiDinhDanh|QID|EXT`.

Unsigned, so a claim only. By default it hides the first six characters of the number and the day and month of birth
with stars: the person is found by the QID.
"""

import re
from datetime import date

from models.passes import number as personal_number
from models.passes.names import tidy
from models.passes.number import Sex
from models.passes.scan import Pass, Scalar

_FIELDS = 6
_BIRTH = re.compile(r"([0-9]{4})-([0-9]{2}|\*{2})-([0-9]{2}|\*{2})")
_QID = re.compile(r"[0-9]{6,20}")
_BHYT = re.compile(r"[A-Z]{2}[0-9]{13}|[0-9]{10}")
_PHONE = re.compile(r"(?:\+84|0)[0-9]{9,10}")
_SEX: dict[str, Sex] = {"1": "male", "2": "female"}


def matches(text: str) -> bool:
    """Also one whose fourth field is damaged, so that it is told so."""
    fields = text.split("|", _FIELDS)
    return len(fields) == _FIELDS and (fields[3].strip() in {"0", "1"} or _BIRTH.fullmatch(fields[2]) is not None)


def read(text: str) -> Pass:
    """Of a text that `matches`."""
    number, name, born, behalf, qid, ext = (tidy(field) for field in text.split("|"))
    # EXT: helper's QID < sex < BHYT < phone < signature
    helper, sex_digit, bhyt, phone = (*(part.strip() for part in ext.split("<")), "", "", "", "")[:4]
    facts: dict[str, Scalar] = {}
    reasons: list[str] = [] if behalf in {"0", "1"} else ["format"]
    birth, year = _born(born)
    sex = _SEX.get(sex_digit)
    numbers: list[tuple[str, str]] = []
    if "*" in number:
        facts["masked"] = True
        reasons.append("masked")
    elif number:
        kind = personal_number.kind(number.upper())
        if kind is None:
            reasons.append("number")
        else:
            numbers.append((kind, number.upper()))
        if kind == "cccd":
            reasons += personal_number.contradictions(number, year, sex)
    if behalf == "1":
        facts["on_behalf"] = True
    ids = [("qid", qid)] if _QID.fullmatch(qid) else []
    if qid and not ids:
        reasons.append("qid")
    ids += numbers
    ids += [("bhyt", bhyt)] if _BHYT.fullmatch(bhyt) else []
    # on behalf, the phone is often the helper's: it would point at another person
    ids += [("phone", phone)] if _PHONE.fullmatch(phone) and behalf == "0" else []
    if not ids:
        reasons.append("no_number")
    if year is None:
        reasons.append("birth_date")
    return Pass(
        kind="personal",
        ids=tuple(ids),
        name=name or None,
        birth=birth,
        birth_year=year,
        sex=sex,
        facts=facts,
        fields={"on_behalf": behalf == "1"} | ({"helper_qid": helper} if helper else {}),
        reasons=tuple(reasons),
    )


def _born(text: str) -> tuple[date | None, int | None]:
    found = _BIRTH.fullmatch(text)
    if found is None:
        return None, None
    year, month, day = found.groups()
    if "*" in month + day:
        return None, int(year)
    try:
        return date(int(year), int(month), int(day)), int(year)
    except ValueError:  # 30 February: no date, so no year to trust either
        return None, None
