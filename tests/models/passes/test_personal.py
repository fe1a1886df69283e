from datetime import date

import pytest

from models.passes import personal

PUBLISHED = "001093029317|NGUYEN LE KHA HAN|1987-01-18|0|162979388586171100|<1<HS4010120878821<0944713700"


def test_the_published_example_is_read_with_the_qid_first() -> None:
    code = personal.read(PUBLISHED)
    assert code.ids == (
        ("qid", "162979388586171100"),
        ("cccd", "001093029317"),
        ("bhyt", "HS4010120878821"),
        ("phone", "0944713700"),
    )
    assert (code.name, code.birth, code.sex) == ("NGUYEN LE KHA HAN", date(1987, 1, 18), "male")
    # its number says 1993: the decree made it up
    assert code.reasons == ("year",)
    assert personal.read(PUBLISHED.replace("001093", "001087")).reasons == ()


def test_a_masked_number_is_left_out_and_said() -> None:
    code = personal.read("******029317|NGUYEN VAN AN|1987-**-**|0|162979388586171100|")
    assert code.ids == (("qid", "162979388586171100"),)
    assert (code.birth, code.birth_year) == (None, 1987)
    assert code.facts == {"masked": True}
    assert code.reasons == ("masked",)


def test_a_masked_number_without_a_qid_finds_nobody() -> None:
    assert personal.read("******029317|NGUYEN VAN AN|1987-**-**|0||").reasons == ("masked", "no_number")


def test_a_phone_on_behalf_may_be_the_helpers() -> None:
    code = personal.read("|NGUYEN THI BA|1937-01-02|1|162979388586171100|162979388586171999<2<<0944713700")
    assert code.ids == (("qid", "162979388586171100"),)
    assert code.facts == {"on_behalf": True}
    assert code.sex == "female"


@pytest.mark.parametrize(
    ("number", "kind"), [("001087029317", "cccd"), ("012345678", "cmnd"), ("c1234567", "passport")]
)
def test_every_kind_of_number_is_told_apart(number: str, kind: str) -> None:
    assert personal.read(f"{number}|A|1987-01-18|0||").ids == ((kind, number.upper()),)


@pytest.mark.parametrize("born", ["", "1987-02-30", "18/01/1987", "1987"])
def test_an_impossible_birth_date_is_a_reason(born: str) -> None:
    assert personal.read(f"001087029317|A|{born}|0|162979388586171100|").reasons == ("birth_date",)


def test_a_number_that_is_none_is_a_reason() -> None:
    assert personal.read("12-34|A|1987-01-18|0|162979388586171100|").reasons == ("number",)


@pytest.mark.parametrize(
    ("number", "ext", "reasons"),
    [
        ("001187029317", "<1<<", ("century",)),
        ("001187029317", "<2<<", ()),
        ("001187029317", "", ()),  # no sex beside it
        ("003088029317", "", ("province", "year")),
    ],
)
def test_the_number_is_held_against_what_stands_beside_it(number: str, ext: str, reasons: tuple[str, ...]) -> None:
    assert personal.read(f"{number}|A|1987-01-18|0|162979388586171100|{ext}").reasons == reasons


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("001087029317|A|1987-01-18|2|162979388586171100|", ("format",)),
        ("001087029317|A|1987-01-18|0|16297938858617110O|", ("qid",)),
    ],
)
def test_a_damaged_field_is_a_reason(text: str, reasons: tuple[str, ...]) -> None:
    assert personal.matches(text)
    assert personal.read(text).reasons == reasons
