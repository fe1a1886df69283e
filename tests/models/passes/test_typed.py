import pytest

from models.passes import typed


@pytest.mark.parametrize(
    ("number", "ids"),
    [
        ("001 085 012345", (("cccd", "001085012345"),)),
        ("012345678", (("cmnd", "012345678"),)),
        ("b1234567", (("passport", "B1234567"),)),
    ],
)
def test_a_number_is_a_claim_like_an_unsigned_codes(number: str, ids: tuple[tuple[str, str], ...]) -> None:
    code = typed.read(number)
    assert code is not None
    assert (code.kind, code.ids, code.signature, code.reasons) == ("typed", ids, "none", ())


@pytest.mark.parametrize("number", ["", "12", "00108501234", "0010850123456", "Nguyễn Văn An", "001085-012345"])
def test_the_number_of_no_paper_is_none(number: str) -> None:
    assert typed.read(number) is None


def test_a_number_that_denies_itself_or_the_year_beside_it_says_so_and_the_reasons_travel() -> None:
    code = typed.read("005085012345", 1990)
    assert code is not None
    assert code.reasons == ("province", "year")
    assert code.facts == {"reasons": "province year"}
