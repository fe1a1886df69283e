from typing import Any

import pytest

from models.passes import cbor, cose
from tests.models.passes.codes import EC_KEY, claims_of, message_of


@pytest.mark.parametrize("tags", [(), (18,), (18, 61), (18, 61, 55799)])
def test_a_message_is_read_whatever_it_is_tagged_with(tags: tuple[int, ...]) -> None:
    assert cose.read(message_of(claims_of(), tags=tags)).alg == cose.ES256


@pytest.mark.parametrize("tags", [(61,), (17,), (98,), (18, 18), (61, 18)])
def test_another_tag_is_another_message(tags: tuple[int, ...]) -> None:
    raw = message_of(claims_of(), tags=tags)
    if tags == (61,):
        assert cose.read(raw).alg == cose.ES256  # what is tagged as a CWT may leave out the inner tag
        return
    with pytest.raises(cose.BadCose):
        cose.read(raw)


@pytest.mark.parametrize(
    ("protected", "unprotected", "kid"),
    [
        ({1: -7, 4: b"AAAAAAAA"}, {}, b"AAAAAAAA"),
        ({1: -7}, {4: b"BBBBBBBB"}, b"BBBBBBBB"),
        ({1: -7, 4: b"AAAAAAAA"}, {4: b"BBBBBBBB"}, b"AAAAAAAA"),
        ({}, {1: -7, 4: b"BBBBBBBB"}, b"BBBBBBBB"),
        ({1: -7, 4: "AAAAAAAA"}, {}, b"AAAAAAAA"),
        ({1: -7}, {}, b""),
    ],
)
def test_the_protected_name_of_the_key_wins(protected: dict[int, Any], unprotected: dict[int, Any], kid: bytes) -> None:
    assert cose.read(message_of(claims_of(), EC_KEY, protected=protected, unprotected=unprotected)).kid == kid


@pytest.mark.parametrize(
    "message",
    [
        [],
        [b"", {}, b""],
        [b"", {}, b"", b"", b""],
        ["", {}, b"", b""],
        [b"", [], b"", b""],
        [b"", {}, "", b""],
        [b"", {}, b"", [b""]],
        [cbor.encode([1]), {}, b"", b""],
        [cbor.encode({1: "ES256"}), {}, b"", b""],
        [cbor.encode({1: True}), {}, b"", b""],
        [cbor.encode({1: -7, 4: 7}), {}, b"", b""],
        {1: 2},
        7,
    ],
)
def test_what_is_no_message_is_refused(message: Any) -> None:
    with pytest.raises(cose.BadCose):
        cose.read(cbor.encode(message))


def test_a_time_may_be_whole_broken_or_tagged() -> None:
    for seconds in (1_632_268_800, 1_632_268_800.0, cbor.Tag(1, 1_632_268_800)):
        moment = cose.moment(seconds)
        assert moment is not None
        assert moment.isoformat() == "2021-09-22T00:00:00+00:00"


@pytest.mark.parametrize("seconds", [None, "2021", -1, 10**12, True, b"", cbor.Tag(0, "2021-09-22")])
def test_what_is_no_time_is_none(seconds: Any) -> None:
    assert cose.moment(seconds) is None
