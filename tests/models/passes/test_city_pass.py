from datetime import date, datetime
from typing import Any

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from models.passes import base45, city_pass, trust
from models.passes.city_pass import BadPass, CityPass
from models.passes.classify import classify
from models.passes.scan import Pass
from models.passes.trust import Keys, Signer, own_key
from tests.models.passes.codes import DAY, NOW, message_of

SIGNER = Signer(Ed25519PrivateKey.generate())
MADE = CityPass(
    id=b"12345678",
    issuer="HN",
    issued_at=NOW - DAY,
    expires_at=NOW + 2 * DAY,
    ids=(("cccd", "001087029317"),),
    name="Nguyễn Lê Khả Hân",
    birth="1987-01-18",
    facts={"doses": 2, "last_dose_on": date(2021, 8, 1), "permit_groups": ("g1", "g2")},
)


def read(text: str) -> Pass:
    code = classify(text.encode())
    assert code.signed is not None
    return replace(city_pass.of_payload(code.signed.payload), signed=code.signed)


def test_a_pass_says_what_was_put_into_it() -> None:
    code = read(city_pass.issue(MADE, SIGNER.sign))
    assert (code.kind, code.ids, code.name, code.birth) == (
        "city",
        (("cccd", "001087029317"),),
        "NGUYEN LE KHA HAN",
        date(1987, 1, 18),
    )
    assert code.facts == {"doses": 2, "last_dose_on": "2021-08-01", "permit_groups": "g1 g2"}
    assert (code.valid_from, code.valid_until) == (MADE.issued_at, MADE.expires_at)
    assert (code.signature, code.reasons) == ("unknown_key", ())


def test_the_citys_key_confirms_it_and_no_other() -> None:
    code = read(city_pass.issue(MADE, SIGNER.sign))
    keys = Keys([own_key(SIGNER.public)])
    assert trust.confirm(code, keys, now=NOW).signature == "valid"
    other = Keys([own_key(Ed25519PrivateKey.generate().public_key().public_bytes_raw())])
    assert trust.confirm(code, other, now=NOW).reasons == ("unknown_key",)


def test_the_keys_rotate_and_the_passes_of_the_old_one_stay_good() -> None:
    newer = Signer(Ed25519PrivateKey.generate())
    both = Keys([own_key(SIGNER.public, not_after=NOW + 3 * DAY), own_key(newer.public, not_before=NOW)])
    for signer in (SIGNER, newer):
        code = read(city_pass.issue(MADE, signer.sign))
        assert trust.confirm(code, both, now=NOW).reasons == ()


@pytest.mark.parametrize("name", ["Nguyễn Lê Khả Hân", "", "Công Tằng Tôn Nữ " * 20])
def test_its_qr_code_is_at_most_of_version_10_with_correction_m(name: str) -> None:
    text = city_pass.issue(replace(MADE, name=name), SIGNER.sign)
    symbol = segno.make(text, error="m", boost_error=False, micro=False)
    assert symbol.mode == "alphanumeric"
    assert int(symbol.version) <= 10


def test_a_name_that_does_not_fit_is_left_out() -> None:
    code = read(city_pass.issue(replace(MADE, name="Công Tằng Tôn Nữ " * 20), SIGNER.sign))
    assert (code.name, code.ids) == (None, MADE.ids)


@pytest.mark.parametrize(
    ("ids", "birth", "year"),
    [
        ((("cmnd", "012345678"), ("qid", "016297938858617110")), "1937", 1937),
        ((("passport", "C1234567"),), "", None),
        ((("bhyt", "HS4010120878821"),), "2005-12-31", 2005),
    ],
)
def test_every_number_and_a_partial_birth_day_come_back(
    ids: tuple[tuple[str, str], ...], birth: str, year: int | None
) -> None:
    code = read(city_pass.issue(replace(MADE, ids=ids, birth=birth), SIGNER.sign))
    assert (code.ids, code.birth_year, code.reasons) == (ids, year, ())


def test_instants_come_back_to_the_second() -> None:
    tested = datetime.fromisoformat("2021-09-21T08:00:00+07:00")
    code = read(city_pass.issue(replace(MADE, facts={"last_test_negative_at": tested}), SIGNER.sign))
    assert code.facts == {"last_test_negative_at": "2021-09-21T01:00:00+00:00"}


@pytest.mark.parametrize(
    "change",
    [
        {"id": b"123"},
        {"ids": ()},
        {"ids": (("phone", "0944713700"),)},
        {"facts": {"status_f0": True}},
        {"expires_at": MADE.issued_at},
        {"facts": {"permit_zones": ("zone",) * 32}},
    ],
)
def test_what_cannot_be_a_pass_is_not_issued(change: dict[str, Any]) -> None:
    with pytest.raises(BadPass) as caught:
        city_pass.issue(replace(MADE, **change), SIGNER.sign)
    assert "001087029317" not in str(caught.value)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        {},
        {4: 1, 7: b"1", -65537: {1: {0: 1}, 2: "A", 3: 1987, 4: {}}},  # fine but for what follows
        {4: 1, 7: b"1", -65537: {1: {-1: 1}, 2: "A", 3: 1987, 4: {}}},
        {4: 1, 7: b"1", -65537: {1: {9: 1}, 2: "A", 3: 1987, 4: {}}},
        {4: 1, 7: b"1", -65537: {1: {0: 1}, 2: "A", 3: 19870231, 4: {}}},
        {4: 1, 7: b"1", -65537: {1: {0: 1}, 2: "A", 3: 1987, 4: {1: "x"}}},
        {4: 1, 7: b"1", -65537: {1: {0: 1}, 2: "A", 3: 1987, 4: {2: 10**18}}},
        {7: b"1", -65537: {1: {0: 1}, 2: "A", 3: 1987, 4: {}}},
    ],
)
def test_what_is_signed_but_no_pass_has_a_reason(claims: Any) -> None:
    code = read(city_pass.PREFIX + base45.encode(message_of(claims)))
    sound = isinstance(claims, dict) and claims.get(-65537) == {1: {0: 1}, 2: "A", 3: 1987, 4: {}} and 4 in claims
    assert code.reasons == (() if sound else ("cbor",) if claims == [] else ("schema",))


def test_a_fact_of_a_later_release_is_passed_over() -> None:
    claims = {4: 1, 7: b"1", -65537: {1: {0: 1}, 2: "A", 3: 1987, 4: {0: 2, 99: "new"}}}
    assert read(city_pass.PREFIX + base45.encode(message_of(claims))).facts == {"doses": 2}
