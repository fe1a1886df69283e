from datetime import date

import pytest

from models.passes import bhyt

NAME = "Nguyễn Lê Khả Hân"
HEX = NAME.encode().hex()
OLD = f"HS4010120878821|{HEX}|18/01/1987|1|{'12 Hàng Bài'.encode().hex()}|01 - C54|01/01/2021|31/12/2021|15/12/2020|$"
NEW = (
    f"GD4010120878821|{HEX}|18/01/1987|2|-|01 - C54|01/04/2021|-|25/03/2021|01020100001|-|4| 01/01/2025|"
    f"155a5a2e5b0c8d3a-7102||{'BHXH Hoàn Kiếm'.encode().hex()}|$"
)


def test_the_old_layout_is_read() -> None:
    code = bhyt.read(OLD)
    assert code.ids == (("bhyt", "HS4010120878821"),)
    assert (code.name, code.birth, code.sex) == (NAME, date(1987, 1, 18), "male")
    assert code.fields == {
        "address": "12 Hàng Bài",
        "clinic": "01 - C54",
        "valid_from": "2021-01-01",
        "valid_until": "2021-12-31",
        "issued_on": "2020-12-15",
    }
    assert code.valid_until is not None
    assert code.valid_until.isoformat() == "2022-01-01T00:00:00+07:00"
    assert code.reasons == ()


def test_the_new_layout_is_read() -> None:
    code = bhyt.read(NEW)
    assert (code.sex, code.valid_until, code.reasons) == ("female", None, ())
    assert code.fields["five_years_from"] == "2025-01-01"
    assert code.fields["office"] == "BHXH Hoàn Kiếm"
    assert "address" not in code.fields


@pytest.mark.parametrize(
    ("number", "ids", "reasons"),
    [
        ("0120878821", (("bhyt", "0120878821"),), ()),
        ("001087029317", (("cccd", "001087029317"),), ()),
        ("001187029317", (("cccd", "001187029317"),), ("century",)),
        ("003087029317", (("cccd", "003087029317"),), ("province",)),
        ("QN5970120878821", (("bhyt", "QN5970120878821"),), ()),
        ("HS6010120878821", (("bhyt", "HS6010120878821"),), ("benefit",)),
        ("HS4030120878821", (("bhyt", "HS4030120878821"),), ("province",)),
        ("HS401012087882", (), ("number",)),
        ("HS40101208788O1", (), ("number",)),
    ],
)
def test_every_number_that_a_card_may_have(
    number: str, ids: tuple[tuple[str, str], ...], reasons: tuple[str, ...]
) -> None:
    text = OLD.replace("HS4010120878821", number)
    assert bhyt.matches(text)
    code = bhyt.read(text)
    assert (code.ids, code.reasons) == (ids, reasons)


@pytest.mark.parametrize(
    ("was", "now", "reasons"),
    [
        (HEX, HEX[:-1], ("hex",)),  # a digit is lost
        (HEX, "Nguyễn Lê Khả Hân", ("hex",)),
        (HEX, "ff" + HEX, ("hex",)),
        (HEX, HEX.upper(), ()),
        (HEX, "", ("format",)),
        ("18/01/1987", "1987", ()),  # an old person's card
        ("18/01/1987", "31/02/1987", ("birth_date",)),
        ("|1|", "|0|", ("format",)),
        ("01/01/2021", "2021", ("format",)),
        ("31/12/2021", "31/12/2020", ("valid_dates",)),
        ("|$", "|", ("format",)),
        ("|15/12/2020|$", "|$", ("format",)),
    ],
)
def test_what_is_damaged_is_a_reason_and_the_rest_is_kept(was: str, now: str, reasons: tuple[str, ...]) -> None:
    text = OLD.replace(was, now)
    assert bhyt.matches(text)
    assert bhyt.read(text).reasons == reasons


def test_a_name_with_a_lost_digit_stays_as_it_was_read() -> None:
    assert bhyt.read(OLD.replace(HEX, HEX[:-1])).name == HEX[:-1]
