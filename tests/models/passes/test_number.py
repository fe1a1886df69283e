import random

import pytest

from models.passes.number import PROVINCES, Sex, contradictions, kind

SEXES: tuple[Sex, Sex] = ("male", "female")


def test_there_were_63_provinces() -> None:
    assert len(PROVINCES) == 63


@pytest.mark.parametrize(
    ("number", "paper"),
    [("001087029317", "cccd"), ("012345678", "cmnd"), ("C1234567", "passport"), ("12-34", None), ("0010870293", None)],
)
def test_numbers_are_told_apart_by_their_form(number: str, paper: str | None) -> None:
    assert kind(number) == paper


def test_a_person_of_the_2000s_fits_their_number() -> None:
    assert contradictions("001305029317", 2005, "female") == []


def test_a_number_of_somebody_born_abroad_has_no_province() -> None:
    assert contradictions("123087029317", 1987, "male") == []


def test_nothing_beside_it_says_nothing_against_it() -> None:
    assert contradictions("001087029317", None, None) == []


def test_ten_thousand_valid_numbers_stand_and_every_edit_of_theirs_is_seen() -> None:
    chance = random.Random(1405)
    provinces = sorted(PROVINCES)
    for _ in range(10_000):
        year, sex = chance.randrange(1900, 2100), chance.choice(SEXES)
        century = 2 * (year // 100 - 19) + (sex == "female")
        number = f"{chance.choice(provinces)}{century}{year % 100:02}{chance.randrange(10**6):06}"
        assert contradictions(number, year, sex) == []
        place = chance.choice((3, 4, 5))
        digit = chance.choice([one for one in "0123456789" if one != number[place]])
        edited = number[:place] + digit + number[place + 1 :]
        assert contradictions(edited, year, sex) == (["century"] if place == 3 else ["year"])


def test_every_province_that_there_is_not_is_seen() -> None:
    for code in range(100):
        found = contradictions(f"{code:03}087029317", 1987, "male")
        assert found == ([] if f"{code:03}" in PROVINCES else ["province"])
