from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes import cbor
from models.passes.cbor import Tag


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        # RFC 8949, appendix A
        ("00", 0),
        ("1818", 24),
        ("1903e8", 1000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("3903e7", -1000),
        ("f93c00", 1.0),
        ("fa47c35000", 100_000.0),
        ("fb3ff199999999999a", 1.1),
        ("f4", False),
        ("f6", None),
        ("f7", None),
        ("c11a514b67b0", Tag(1, 1_363_896_240)),
        ("4401020304", b"\1\2\3\4"),
        ("62c3bc", "ü"),
        ("8301820203820405", [1, [2, 3], [4, 5]]),
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("5f42010243030405ff", b"\1\2\3\4\5"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ],
)
def test_every_shape_is_read(raw: str, value: Any) -> None:
    got = cbor.decode(bytes.fromhex(raw))
    assert (type(got), got) == (type(value), value)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "cut off"),
        ("18", "cut off"),
        ("44010203", "cut off"),
        ("820", "cut off"),
        ("9f01", "cut off"),
        ("0000", "more than one"),
        ("ff", "more than one"),
        ("82ff01", "break"),
        ("c1ff", "break"),
        ("a101ff", "without a value"),
        ("a201010102", "a key twice"),
        ("a1f90000", "a key that is no"),
        ("1c", "reserved"),
        ("1f", "without end"),
        ("df00", "without end"),
        ("f97c00", "a number that is none"),
        ("f97e00", "a number that is none"),
        ("f8ff", "means nothing"),
        ("3b8000000000000000", "too small"),
        ("61ff", "UTF-8"),
        ("5f6161ff", "other things"),
        ("81" * 17 + "00", "too deep"),
        ("c1" * 17 + "00", "too deep"),
        ("5bffffffffffffffff00", "cut off"),
        ("9bffffffffffffffff00", "cut off"),
    ],
)
def test_what_is_none_is_refused(raw: str, why: str) -> None:
    with pytest.raises(cbor.BadCbor, match=why):
        cbor.decode(bytes.fromhex(raw if len(raw) % 2 == 0 else raw[:-1]))


values: st.SearchStrategy[Any] = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.integers(-9, 9) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(st.binary(max_size=64))
def test_bytes_of_strangers_are_a_value_or_refused(raw: bytes) -> None:
    with suppress(cbor.BadCbor):
        cbor.decode(raw)


def test_a_kind_that_codes_do_not_hold_is_not_written() -> None:
    with pytest.raises(TypeError, match="float"):
        cbor.encode(1.5)
