"""The 12-digit personal number: `PPP` where the birth was registered, `G` century and sex, `YY` year, six more.

It has no check digit, but it repeats what stands beside it: a change of G or YY contradicts the code's own fields, and
a change of PPP mostly ends in a province that there is not.
"""

import re
from typing import Literal

Sex = Literal["male", "female"]

_PROVINCES = """
    001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033
    034 035 036 037 038 040 042 044 045 046 048 049 051 052 054 056 058 060 062 064 066
    067 068 070 072 074 075 077 079 080 082 083 084 086 087 089 091 092 093 094 095 096
"""
PROVINCES = frozenset(_PROVINCES.split())
"""Circular 07/2016, appendix 1; the codes survive the merger of 2025. 1xx to 9xx: born abroad."""

_FORMS = (
    ("cccd", re.compile(r"[0-9]{12}")),
    ("cmnd", re.compile(r"[0-9]{9}")),
    ("passport", re.compile(r"[A-Z][A-Z0-9]{5,11}")),
)


def kind(number: str) -> str | None:
    """Which paper has such a number: cccd, cmnd (the old one) or passport."""
    return next((kind for kind, form in _FORMS if form.fullmatch(number)), None)


def contradictions(number: str, birth_year: int | None, sex: Sex | None) -> list[str]:
    """Where a 12-digit number denies itself or what stands beside it: province, century, year."""
    reasons = []
    if number[0] == "0" and number[:3] not in PROVINCES:
        reasons.append("province")
    century, is_female = divmod(int(number[3]), 2)
    if (birth_year and birth_year // 100 - 19 != century) or (sex and is_female != (sex == "female")):
        reasons.append("century")
    if birth_year and birth_year % 100 != int(number[4:6]):
        reasons.append("year")
    return reasons
