import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.wire.parcel import BadParcel, Reader, Writer, unwrap, wrap

KEY, OTHER = b"k" * 32, b"o" * 32
MIB = 1 << 20


def sealed(plain: bytes) -> bytes:
    sink = io.BytesIO()
    wrap(io.BytesIO(plain), sink, KEY)
    return sink.getvalue()


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 7])
def test_what_is_wrapped_comes_back_whole(size: int) -> None:
    plain = bytes(number % 251 for number in range(size))
    closed = sealed(plain)
    assert size < 64 or plain[:64] not in closed
    assert unwrap(io.BytesIO(closed), KEY) == plain
    reader = Reader(io.BytesIO(closed), KEY)
    assert reader.size == size
    assert io.BufferedReader(reader).read() == plain


@pytest.mark.parametrize("size", [0, MIB, MIB + 1])
def test_what_is_cut_off_changed_or_closed_with_another_key_is_refused(size: int) -> None:
    closed = sealed(b"x" * size)
    for broken in (closed[:-1], closed[:-17], closed[: MIB + 24] if size > MIB else b"", b"?" + closed[1:]):
        with pytest.raises(BadParcel):
            unwrap(io.BytesIO(broken), KEY)
    with pytest.raises(BadParcel):
        unwrap(io.BytesIO(closed), OTHER)
    with pytest.raises(BadParcel):
        unwrap(io.BytesIO(closed[:-1] + bytes([closed[-1] ^ 1])), KEY)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=300_000), max_size=8), st.lists(st.integers(0, 2_400_000), max_size=6))
def test_however_it_is_written_every_place_of_it_can_be_read(pieces: list[bytes], places: list[int]) -> None:
    plain, sink = b"".join(pieces), io.BytesIO()
    writer = Writer(sink, KEY)
    for piece in pieces:
        writer.write(piece)
    writer.finish()
    assert sink.getvalue() == sealed(plain)
    with io.BufferedReader(Reader(io.BytesIO(sink.getvalue()), KEY)) as reader:
        for place in places:
            reader.seek(place)
            assert reader.read(5) == plain[place : place + 5]


def test_a_file_is_closed_with_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "parcel"
    path.write_bytes(sealed(b"text"))
    file = path.open("rb")
    Reader(file, KEY).close()
    assert file.closed
