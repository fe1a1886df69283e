import pytest

from models.passes import cbor, revocation
from models.passes.revocation import BadRevocations, Revocations


def test_what_was_taken_back_is_known_and_nothing_else() -> None:
    held = Revocations().updated(revocation.whole(3, [f"URN:UVCI:01:VN:{n}" for n in range(1000)]))
    assert held.version == 3
    assert all(held.holds(f"URN:UVCI:01:VN:{n}") for n in range(1000))
    assert not any(held.holds(f"URN:UVCI:01:VN:{n}") for n in range(1000, 2000))
    assert not held.holds("")


def test_a_delta_adds_and_takes_away() -> None:
    held = Revocations().updated(revocation.whole(3, ["a", "b"]))
    later = held.updated(revocation.delta(3, 4, add=["c"], remove=["a"]))
    assert (later.version, [later.holds(one) for one in "abc"]) == (4, [False, True, True])
    assert held.holds("a")  # who reads the old list is not disturbed
    assert list(later.hashes) == sorted(later.hashes)


def test_a_whole_list_takes_the_place_of_the_old_one() -> None:
    held = Revocations().updated(revocation.whole(3, ["a"])).updated(revocation.whole(9, ["b"]))
    assert (held.version, held.holds("a"), held.holds("b")) == (9, False, True)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (revocation.whole(3, []), "not newer"),
        (revocation.delta(2, 5), "ask for the whole list"),
        (b"", "not a list"),
        (cbor.encode([1, 2, b""]), "not base"),
        (cbor.encode([0, 9, b"1234567", b""]), "cut off"),
        (cbor.encode([0, 9, b"2" * 8 + b"1" * 8, b""]), "not sorted"),
    ],
)
def test_what_does_not_fit_is_refused(document: bytes, why: str) -> None:
    held = Revocations().updated(revocation.whole(3, ["a"]))
    with pytest.raises(BadRevocations, match=why):
        held.updated(document)


def test_a_delta_goes_forward() -> None:
    with pytest.raises(ValueError, match="to a later one"):
        revocation.delta(4, 4)
