from datetime import date

import pytest

from models.passes import cccd

CARD = "001087029317|012345678|Nguyễn Lê Khả Hân|18011987|Nam|12 Hàng Bài, Hoàn Kiếm, Hà Nội|01022021"


def test_the_card_of_2021_is_read() -> None:
    code = cccd.read(CARD)
    assert code.ids == (("cccd", "001087029317"), ("cmnd", "012345678"))
    assert (code.name, code.birth, code.birth_year, code.sex) == (
        "Nguyễn Lê Khả Hân",
        date(1987, 1, 18),
        1987,
        "male",
    )
    assert code.reasons == ()


def test_the_card_of_2024_leaves_the_old_number_empty_and_appends_fields() -> None:
    code = cccd.read("001187029317||Trần Thị Bé|18011987|Nữ|Hà Nội|01072024||Trần Văn Ba|Lê Thị Tư|")
    assert code.ids == (("cccd", "001187029317"),)
    assert code.sex == "female"
    assert code.reasons == ()


@pytest.mark.parametrize(
    ("number", "reasons"),
    [
        ("003087029317", ("province",)),
        ("099087029317", ("province",)),
        ("123087029317", ()),  # born abroad
        ("001187029317", ("century",)),  # says female
        ("001287029317", ("century",)),  # says 20xx
        ("001088029317", ("year",)),
        ("003388029317", ("province", "century", "year")),
    ],
)
def test_a_changed_number_contradicts_the_card(number: str, reasons: tuple[str, ...]) -> None:
    assert cccd.read(CARD.replace("001087029317", number)).reasons == reasons


def test_a_person_of_the_2000s_fits_their_number() -> None:
    assert cccd.read("001305029317||Lê Thị An|05092005|Nữ|Hà Nội|01022021").reasons == ()


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (CARD.replace("18011987", "31021987"), ("birth_date",)),
        (CARD.replace("18011987", ""), ("birth_date",)),
        (CARD.replace("|01022021", ""), ("format",)),
        (CARD.replace("Nam", "?"), ("format",)),
        ("001087029317||", ("birth_date", "format")),
    ],
)
def test_a_field_that_is_missing_or_impossible_is_a_reason(text: str, reasons: tuple[str, ...]) -> None:
    code = cccd.read(text)
    assert code.reasons == reasons
    assert code.ids[0] == ("cccd", "001087029317")


@pytest.mark.parametrize(
    ("was", "now", "reasons"),
    [
        ("001087029317", "00108702931", ("number",)),
        ("001087029317", "O01087029317", ("number",)),
        ("012345678", "01234567", ("old_number",)),
        ("01022021", "01021921", ("issue_date",)),
    ],
)
def test_a_damaged_number_is_told_and_nobody_is_named_by_it(was: str, now: str, reasons: tuple[str, ...]) -> None:
    text = CARD.replace(was, now)
    assert cccd.matches(text)
    code = cccd.read(text)
    assert code.reasons == reasons
    assert now not in dict(code.ids).values()


def test_a_name_has_one_spelling() -> None:
    decomposed = "Nguye\u0302\u0303n  Le\u0302 Kha\u0309 Ha\u0302n"
    assert cccd.read(CARD.replace("Nguyễn Lê Khả Hân", decomposed)).name == "Nguyễn Lê Khả Hân"
