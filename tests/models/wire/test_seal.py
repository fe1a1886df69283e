from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from models.wire.seal import Identity, Unopenable, key_id, seal, unseal

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {key_id(PUBLIC): KEY}
SOMEBODY = Identity(ids=(("qid", "162979388586171100"), ("cccd", "001087029317")), name="NGUYEN VAN AN", birth="1987")


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=30)), max_size=4).map(tuple), st.text(max_size=60))
def test_central_opens_what_was_sealed_to_it(ids: tuple[tuple[str, str], ...], name: str) -> None:
    identity = Identity(ids=ids, name=name)
    assert unseal(seal(identity, PUBLIC), KEYS) == identity


def test_nothing_plain_is_inside() -> None:
    sealed = seal(SOMEBODY, PUBLIC)
    inside = sealed.encode() + urlsafe_b64decode(sealed.partition(".")[2])
    assert not any(word in inside for word in (b"162979388586171100", b"001087029317", b"NGUYEN", b"1987"))


def test_the_same_person_is_sealed_differently_every_time() -> None:
    assert seal(SOMEBODY, PUBLIC) != seal(SOMEBODY, PUBLIC)


def test_replay_seals_to_the_same_bytes() -> None:
    ephemeral = bytes(range(1, 33))
    assert seal(SOMEBODY, PUBLIC, ephemeral=ephemeral) == seal(SOMEBODY, PUBLIC, ephemeral=ephemeral)


def test_another_key_does_not_open_it() -> None:
    other = X25519PrivateKey.generate()
    with pytest.raises(Unopenable, match="not ours"):
        unseal(seal(SOMEBODY, PUBLIC), {key_id(other.public_key().public_bytes_raw()): other})
    with pytest.raises(Unopenable, match="damaged"):
        unseal(seal(SOMEBODY, PUBLIC), {key_id(PUBLIC): other})


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    kid, _, body = seal(SOMEBODY, PUBLIC).partition(".")
    raw = bytearray(urlsafe_b64decode(body))
    raw[place] ^= 1
    with pytest.raises(Unopenable, match="damaged"):
        unseal(f"{kid}.{urlsafe_b64encode(raw).decode()}", KEYS)


@pytest.mark.parametrize("body", ["", "AAAA", "???", "é", "A" * 43])
def test_a_box_cut_short_is_damaged(body: str) -> None:
    with pytest.raises(Unopenable, match="damaged"):
        unseal(f"{key_id(PUBLIC)}.{body}", KEYS)


def test_a_refusal_repeats_nothing_of_the_person() -> None:
    with pytest.raises(Unopenable) as refused:
        unseal(seal(SOMEBODY, PUBLIC)[:-6], KEYS)
    assert "NGUYEN" not in str(refused.value)
