import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes.classify import classify
from models.passes.reasons import REASONS

CARD = "001087029317|012345678|Nguyễn Lê Khả Hân|18011987|Nam|Hà Nội|01022021"
PERSONAL = "001087029317|NGUYEN LE KHA HAN|1987-01-18|0|162979388586171100|<1<HS4010120878821<0944713700"
BHYT = "HS4010120878821|4e677579e1bb856e|18/01/1987|1|-|01 - C54|01/01/2021|-|01/01/2021|0|-|4|01/01/2025|a-1|||$"


@pytest.mark.parametrize(
    ("text", "kind", "reasons"),
    [
        (PERSONAL, "personal", ()),
        (CARD, "cccd", ()),
        (CARD + "\0\0", "cccd", ()),
        (CARD + "\r", "cccd", ()),
        ("HC1:NCFOXN", "hcert", ("compression",)),
        ("CUAO1:NCFOXN", "city", ("cbor",)),
        ("shc:/567629095243206034602924374044603122295953265460346029254077280433", "shc", ("unsupported",)),
        ("NZCP:/1/2KCEVIQEIVVWK6", "nzcp", ("unsupported",)),
        ('{"data":{"hdr":{"t":"icao.vacc"}},"sig":{"alg":"ES256"}}', "vds_nc", ("unsupported",)),
        (BHYT, "bhyt", ()),
        ("NZCOVIDTRACER:eyJ0eXAiOiJlbnRyeSJ9", "venue", ("not_a_pass",)),
        ("https://example.org/menu", "url", ("not_a_pass",)),
        ("WIFI:S:cafe;;", "unknown", ("not_a_pass",)),
        ("", "unknown", ("not_a_pass",)),
        ("{}", "unknown", ("not_a_pass",)),
        ("a|b|c|d|e|f", "unknown", ("not_a_pass",)),
    ],
)
def test_a_code_is_named_for_what_it_is(text: str, kind: str, reasons: tuple[str, ...]) -> None:
    code = classify(text.encode())
    assert (code.kind, code.reasons) == (kind, reasons)


def test_text_in_another_encoding_says_so() -> None:
    assert classify("Đỗ Thị Hà".encode("utf-16")).reasons == ("encoding",)
    assert classify(b"HC1:\xff").reasons == ("encoding",)


def test_what_is_wrong_with_a_code_travels_in_its_facts() -> None:
    assert classify(CARD.replace("001087", "003088").encode()).facts["reasons"] == "province year"
    assert "reasons" not in classify(CARD.encode()).facts


def test_a_payload_longer_than_any_code_is_no_pass() -> None:
    assert classify(b"HC1:" + b"A" * 10_000).reasons == ("not_a_pass",)


fields = st.text(st.characters(codec="utf-8", exclude_characters="|"), max_size=12)
likely = st.tuples(st.sampled_from(["001087029317", "******029317", "x"]), st.lists(fields, max_size=9)).map(
    lambda parts: "|".join([parts[0], *parts[1]]).encode()
)


@given(st.one_of(st.binary(max_size=200), likely))
def test_every_payload_gets_an_answer_with_reasons_that_have_a_text(payload: bytes) -> None:
    assert set(classify(payload).reasons) <= REASONS.keys()


def test_a_foreign_code_says_who_issued_it() -> None:
    text = '{"data":{"hdr":{"t":"icao.vacc","v":1,"is":"UTO"},"msg":{}},"sig":{"alg":"ES256"}}'
    assert classify(text.encode()).fields == {"type": "icao.vacc", "version": 1, "issuer": "UTO"}
