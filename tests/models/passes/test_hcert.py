import zlib
from typing import Any

import pytest

from models.passes import base45, cbor, cose, hcert
from models.passes.scan import Scalar
from tests.models.passes.codes import CERTIFICATE, RECOVERY, TEST, claims_of, hcert_text, message_of, without

TWICE: dict[str, Scalar] = {"doses": 2, "last_dose_on": "2021-08-01"}
TEXT = hcert_text(message_of(claims_of()))


def read_certificate(certificate: Any) -> Any:
    return hcert.of_payload(cose.read(message_of(claims_of(certificate))).payload)


def holding(letter: str, entry: Any) -> dict[str, Any]:
    return {**without("v"), letter: [entry]}


def test_a_vaccine_passport_is_read_and_nobody_has_confirmed_it() -> None:
    shown = hcert.read(TEXT)
    assert shown.signed is not None
    assert (shown.name, shown.signature, shown.reasons) == (None, "unknown_key", ())
    code = hcert.of_payload(shown.signed.payload)
    assert (code.name, code.birth_year, code.fields["issuer"]) == ("Nguyễn Khả Hân", 1987, "VN")
    assert code.fields["certificate"] == CERTIFICATE
    assert (code.signature, code.reasons) == ("unknown_key", ())


@pytest.mark.parametrize(
    ("certificate", "facts"),
    [
        (CERTIFICATE, TWICE),
        (holding("v", CERTIFICATE["v"][0] | {"dn": 1}), {"doses": 1, "last_dose_on": "2021-08-01"}),
        # one dose of one is a complete course
        (holding("v", CERTIFICATE["v"][0] | {"dn": 1, "sd": 1}), {"doses": 2, "last_dose_on": "2021-08-01"}),
        (holding("v", CERTIFICATE["v"][0] | {"dn": 3, "sd": 3}), {"doses": 3, "last_dose_on": "2021-08-01"}),
        # every dose in one code
        ({**CERTIFICATE, "v": [CERTIFICATE["v"][0] | {"dn": 1}, *CERTIFICATE["v"]]}, TWICE),
        (holding("t", TEST), {"last_test_negative_at": "2021-09-21T01:00:00+00:00"}),
        (holding("t", TEST | {"tr": "260373001"}), {"last_test_positive_at": "2021-09-21T01:00:00+00:00"}),
        (holding("t", TEST | {"tr": "x"}), {}),
        (holding("r", RECOVERY), {"recovered_on": "2021-06-12"}),
        (holding("r", RECOVERY | {"df": "2021-06-12T00:00:00"}), {"recovered_on": "2021-06-12"}),
    ],
)
def test_what_it_certifies_is_told_in_the_words_of_the_vocabulary(certificate: Any, facts: dict[str, Scalar]) -> None:
    assert read_certificate(certificate).facts == facts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TEXT[4:], "prefix"),
        ("HC2:" + TEXT[4:], "prefix"),
        ("HL0:" + TEXT[4:], "prefix"),
        ("hc1:" + TEXT[4:], "prefix"),
        ("HC1" + TEXT[4:], "prefix"),
        (TEXT[:-1] + "=", "base45"),
        (TEXT + "A" * (1 + (-len(TEXT[4:])) % 3), "base45"),
        ("HC1:", "compression"),
        ("HC1:" + base45.encode(message_of(claims_of())), "compression"),
        ("HC1:" + base45.encode(zlib.compress(message_of(claims_of()))[:-4]), "compression"),
        ("HC1:" + base45.encode(zlib.compress(message_of(claims_of())) + b"more"), "compression"),
        ("HC1:" + base45.encode(zlib.compress(bytes(1 << 20))), "compression"),  # a bomb
        (hcert_text(b"\xff"), "cbor"),
        (hcert_text(message_of(claims_of()) + b"\0"), "cbor"),
        (hcert_text(cbor.encode([1, 2])), "cose"),
        (hcert_text(message_of(claims_of() | {4: "soon"})), "no_expiry"),
        (hcert_text(message_of([1])), "cbor"),
        (hcert_text(message_of({1: "VN"})), "cbor"),
        (hcert_text(message_of(claims_of(b"bytes"))), "cbor"),
    ],
)
def test_every_layer_has_a_reason_of_its_own(text: str, reason: str) -> None:
    assert hcert.matches(text)
    code = hcert.read(text)
    assert (hcert.of_payload(code.signed.payload) if code.signed else code).reasons == (reason,)


@pytest.mark.parametrize(
    "certificate",
    [
        {},
        without("ver"),
        without("dob"),
        without("nam"),
        without("v"),
        {**CERTIFICATE, "nam": {}},
        {**CERTIFICATE, "v": []},
        {**CERTIFICATE, "v": {}},
        {**CERTIFICATE, "v": [*CERTIFICATE["v"], {}]},
        {**CERTIFICATE, "r": [RECOVERY]},
        without("v", 0, "ci"),
        holding("v", CERTIFICATE["v"][0] | {"dn": 0}),
        holding("v", CERTIFICATE["v"][0] | {"sd": "2"}),
        holding("v", CERTIFICATE["v"][0] | {"dt": "01/08/2021"}),
        holding("t", {key: value for key, value in TEST.items() if key != "tr"}),
        holding("r", RECOVERY | {"du": "2021-13-01"}),
    ],
)
def test_a_certificate_that_lacks_something_is_a_schema_fault(certificate: Any) -> None:
    assert read_certificate(certificate).reasons == ("schema",)


@pytest.mark.parametrize("more", [{"t": []}, {"t": False}])
def test_a_group_that_is_empty_is_no_group(more: dict[str, Any]) -> None:
    assert read_certificate(CERTIFICATE | more).reasons == ()


@pytest.mark.parametrize("born", ["1987", "1987-01", "1987-01-18T00:00:00", ""])
def test_a_birth_day_may_be_partial(born: str) -> None:
    code = read_certificate(CERTIFICATE | {"dob": born})
    assert code.reasons == ()
    assert code.birth_year == (1987 if born else None)


@pytest.mark.parametrize("text", ["", "A" * 200, "WIFI:S:CAFE;;", "001087029317||A", "HC"])
def test_another_text_is_not_taken_for_one(text: str) -> None:
    assert not hcert.matches(text)
