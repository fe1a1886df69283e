from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from models.passes import revocation, trust
from models.passes.classify import classify
from models.passes.revocation import Revocations
from models.passes.scan import Pass
from models.passes.trust import Key, Keys, Listed, Signer, TrustList, Untrusted
from tests.models.passes.codes import (
    DAY,
    EC_KEY,
    NOW,
    OID,
    Private,
    certificate_of,
    claims_of,
    hcert_text,
    kid_of,
    message_of,
)

CITY = Signer(Ed25519PrivateKey.generate())
RSA_KEY = rsa.generate_private_key(65537, 2048)
DER = certificate_of(EC_KEY)


def shown(private: Private = EC_KEY, der: bytes = DER) -> Pass:
    return classify(hcert_text(message_of(claims_of(), private, kid=kid_of(der))).encode())


def key(der: bytes = DER) -> Key:
    return trust.from_certificate(der)


@pytest.mark.parametrize(
    "private",
    [EC_KEY, ec.generate_private_key(ec.SECP384R1()), RSA_KEY, Ed25519PrivateKey.generate()],
    ids=["ES256", "ES256 on P-384", "PS256", "EdDSA"],
)
def test_every_algorithm_is_confirmed(private: Private) -> None:
    der = certificate_of(private)
    code = trust.confirm(shown(private, der), Keys([key(der)]), now=NOW)
    assert (code.signature, code.usage, code.reasons) == ("valid", "unstated", ())
    assert code.facts == {"doses": 2, "last_dose_on": "2021-08-01", "valid_until": "2021-10-22T06:00:00+00:00"}


def test_a_code_without_a_known_key_is_signed_by_somebody() -> None:
    code = trust.confirm(shown(), now=NOW)
    assert (code.signature, code.reasons) == ("unknown_key", ("unknown_key",))
    assert code.facts == {"reasons": "unknown_key"}


def test_a_changed_word_or_signature_is_seen() -> None:
    code = shown()
    assert code.signed is not None
    for changed in (
        replace(code.signed, payload=code.signed.payload.replace(b"KHA<HAN", b"KHA<HUN")),
        replace(code.signed, protected=code.signed.protected + b"\0"),
        replace(code.signed, signature=code.signed.signature[:-1] + b"\0\0"),
        replace(code.signed, signature=b""),
        replace(code.signed, alg=-37),
        replace(code.signed, alg=-257),
    ):
        assert trust.confirm(replace(code, signed=changed), Keys([key()]), now=NOW).reasons == ("signature",)


def test_what_the_eye_says_of_a_signed_code_is_not_believed() -> None:
    lied = replace(
        shown(), name="SOMEBODY ELSE", facts={"doses": 9}, ids=(("cccd", "001087029317"),), signature="valid"
    )
    code = trust.confirm(lied, Keys([key()]), now=NOW)
    assert (code.name, code.ids, code.facts["doses"]) == ("Nguyễn Khả Hân", (), 2)
    unsigned = Pass(kind="cccd", signature="valid")
    assert trust.confirm(unsigned, Keys([key()]), now=NOW).signature == "none"


def test_every_key_of_one_name_is_tried() -> None:
    other = Key(key().kid, ec.generate_private_key(ec.SECP256R1()).public_key())
    assert trust.confirm(shown(), Keys([other, key()]), now=NOW).signature == "valid"
    assert trust.confirm(shown(), Keys([other]), now=NOW).reasons == ("signature",)


def test_a_code_that_names_no_key_is_tried_on_all() -> None:
    code = classify(hcert_text(message_of(claims_of(), protected={1: -7})).encode())
    assert trust.confirm(code, Keys([key()]), now=NOW).signature == "valid"


@pytest.mark.parametrize("private", [EC_KEY, RSA_KEY, Ed25519PrivateKey.generate()], ids=["EC", "RSA", "Ed25519"])
def test_a_code_that_names_no_algorithm_is_tried_as_its_key_signs(private: Private) -> None:
    der = certificate_of(private)
    message = message_of(claims_of(), private, protected={4: kid_of(der)})
    code = classify(hcert_text(message).encode())
    assert trust.confirm(code, Keys([key(der)]), now=NOW).signature == "valid"


def test_nobody_is_born_in_a_time_to_come() -> None:
    card = classify("001322029317||Lê Thị An|23092022|Nữ|Hà Nội|01022021".encode())
    assert trust.confirm(card, now=NOW).reasons == ("issue_date", "birth_date")
    assert trust.confirm(card, now=NOW).facts["reasons"] == "issue_date birth_date"
    assert trust.confirm(card, now=NOW + 2 * 365 * DAY).reasons == ("issue_date",)


@pytest.mark.parametrize(
    ("oids", "usage", "reasons"),
    [
        ((OID + "2",), "ok", ()),
        ((OID + "1", OID + "2"), "ok", ()),
        ((OID + "1",), "wrong", ("key_usage",)),
        ((OID.replace("4.1.1847", "4.1.0.1847") + "2",), "ok", ()),
        ((OID.replace("4.1.1847", "4.1.0.1847") + "3",), "wrong", ("key_usage",)),
        (("1.3.6.1.5.5.7.3.4",), "unstated", ()),
    ],
)
def test_a_key_signs_only_what_it_is_for(oids: tuple[str, ...], usage: str, reasons: tuple[str, ...]) -> None:
    der = certificate_of(EC_KEY, *oids)
    code = trust.confirm(shown(EC_KEY, der), Keys([key(der)]), now=NOW)
    assert (code.usage, code.reasons) == (usage, reasons)


@pytest.mark.parametrize(
    ("after", "reasons"),
    [
        (timedelta(0), ()),
        (-2 * DAY, ("not_yet",)),
        (31 * DAY, ("expired",)),
        (91 * DAY, ("expired", "key_expired")),
    ],
)
def test_a_code_and_a_key_have_their_time(after: timedelta, reasons: tuple[str, ...]) -> None:
    assert trust.confirm(shown(), Keys([key()]), now=NOW + after).reasons == reasons


def test_without_a_clock_nothing_is_said_of_the_time() -> None:
    assert trust.confirm(shown(), Keys([key()]), now=None).reasons == ("clock_unset",)


def test_a_code_that_was_taken_back_is_known_by_its_id() -> None:
    revoked = Revocations().updated(revocation.whole(1, ["URN:UVCI:01:VN:0001"]))
    assert trust.confirm(shown(), Keys([key()]), now=NOW, revoked=revoked).reasons == ("revoked",)


@pytest.mark.parametrize("der", [b"", b"\x30\x03", DER[:-1]])
def test_what_is_no_certificate_is_no_key(der: bytes) -> None:
    with pytest.raises(Untrusted):
        trust.from_certificate(der)


def test_a_trust_list_is_read_back() -> None:
    later = NOW + DAY
    made = TrustList(keys=(Listed(certificate=DER), Listed(own=CITY.public, not_before=later, not_after=later + DAY)))
    keys = trust.read_list(made.encoded())
    assert keys.skipped == 0
    assert trust.confirm(shown(), keys, now=NOW).signature == "valid"
    city = [key for key in keys if key.kid == CITY.kid]
    assert [(key.not_before, key.not_after) for key in city] == [(later, later + DAY)]


def test_one_odd_key_does_not_lose_the_others() -> None:
    made = TrustList(keys=(Listed(certificate=b"junk"), Listed(own=b"short"), Listed(certificate=DER)))
    keys = trust.read_list(made.encoded())
    assert keys.skipped == 2
    assert trust.confirm(shown(), keys, now=NOW).signature == "valid"


@pytest.mark.parametrize("document", [b"", b"{}", b"\xff", b'{"keys": 5}'])
def test_what_is_no_list_is_refused(document: bytes) -> None:
    with pytest.raises(Untrusted, match="trust list"):
        trust.read_list(document)
