import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.passes import base45


@pytest.mark.parametrize(
    ("raw", "text"), [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"", "")]
)
def test_the_examples_of_the_rfc_hold(raw: bytes, text: str) -> None:
    assert base45.encode(raw) == text
    assert base45.decode(text) == raw


@given(st.binary(max_size=300))
def test_what_is_written_is_read_back(raw: bytes) -> None:
    assert base45.decode(base45.encode(raw)) == raw


@pytest.mark.parametrize("text", ["A", "AAAA", "bb8", "BB_", "GGW", ":::", "::", "BB8é"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(base45.BadBase45):
        base45.decode(text)
