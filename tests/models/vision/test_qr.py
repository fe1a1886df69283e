"""Codes rendered here, and the photos of people's phones."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st

from models.vision.qr import Code, Corners, Pixels, PyzbarReader, QrReader

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def printed(payload: str | bytes, *, scale: int = 4, mode: str | None = None) -> Pixels:
    out = io.BytesIO()
    segno.make_qr(payload, error="m", mode=mode).save(out, kind="png", scale=scale)
    picture = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return picture.astype(np.uint8)


def on_table(*codes: tuple[Pixels, int, int], height: int = 480, width: int = 640) -> Pixels:
    table = np.full((height, width), 128, np.uint8)
    for code, x, y in codes:
        table[y : y + code.shape[0], x : x + code.shape[1]] = code
    return table


def test_a_code_says_its_bytes_its_text_and_where_it_is() -> None:
    code = printed("VÕ ANH YẾN|1990")
    (read,) = QrReader().read(on_table((code, 200, 100)))
    assert (read.format, read.text, read.payload) == ("QR Code", "VÕ ANH YẾN|1990", "VÕ ANH YẾN|1990".encode())
    assert read.corners[0] == pytest.approx((216, 116), abs=2)
    assert read.px_per_module == pytest.approx(4.0, abs=0.2)


def test_bytes_that_are_not_utf8_have_no_text() -> None:
    (read,) = QrReader().read(on_table((printed(b"\xff\xfe\x00\x80"), 50, 50)))
    assert read.text is None
    assert read.payload == b"\xff\xfe\x00\x80"


def test_several_codes_in_one_picture_are_all_read() -> None:
    table = on_table((printed("one"), 20, 20), (printed("two"), 300, 40), (printed("three"), 200, 300))
    assert {code.text for code in QrReader().read(table)} == {"one", "two", "three"}


def test_a_code_too_small_at_first_is_read_enlarged() -> None:
    code = cv2.resize(printed("0123456789AB" * 8, scale=8), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    table = cv2.GaussianBlur(on_table((code.astype(np.uint8), 100, 100)), (0, 0), 1.0).astype(np.uint8)
    assert not zxingcpp.read_barcodes(table)
    (read,) = QrReader().look(table, (80, 80, 200, 200)).codes
    assert read.corners[0] == pytest.approx((108, 108), abs=3)
    assert read.px_per_module == pytest.approx(2.0, abs=0.2)


def test_a_blurred_code_that_no_enlarging_helps_is_equalized() -> None:
    code = cv2.resize(printed("0123456789AB" * 12, scale=8), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    table = cv2.GaussianBlur(on_table((code.astype(np.uint8), 100, 100)), (0, 0), 1.4).astype(np.uint8)
    for scale in (1, 2, 3, 4):
        assert not zxingcpp.read_barcodes(cv2.resize(table, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    (read,) = QrReader().read(table)
    assert read.text == "0123456789AB" * 12
    assert read.corners[2] == pytest.approx((100 + 0.3 * 8 * 45, 100 + 0.3 * 8 * 45), abs=2)
    assert read.px_per_module == pytest.approx(2.4, abs=0.1)


def test_a_damaged_code_is_located_though_not_read() -> None:
    code = printed("0123456789AB" * 8)
    code[40:110, 60:130] = 255
    look = QrReader().look(on_table((code, 100, 100)))
    assert not look.codes
    assert look.located


def test_an_inverted_code_is_read_when_thorough_and_now_and_then_in_a_film() -> None:
    table = on_table((printed("night mode"), 100, 100))
    film = QrReader()
    assert not film.read(255 - table)
    assert any(film.read(255 - table) for _ in range(QrReader.SLOW_TURNS))
    assert [code.text for code in QrReader(thorough=True).read(255 - table)] == ["night mode"]


def test_a_region_outside_of_the_picture_shows_nothing() -> None:
    assert not QrReader().look(on_table(), (700, 500, 50, 50)).codes


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown code formats"):
        QrReader(formats=("Hieroglyph",))


def test_the_second_reader_reads_or_says_what_is_missing() -> None:
    try:
        reader = PyzbarReader()
    except RuntimeError as error:
        assert "apt-get install libzbar0" in str(error)  # noqa: PT017  (either is right, by what this machine has)
        return
    assert [code.payload for code in reader.read(on_table((printed("plain"), 100, 100)))] == [b"plain"]


class Told:
    """A second reader that sees a symbol here, and says something of it that is not so."""

    def __init__(self, corners: Corners) -> None:
        self.corners = corners
        self.asked = 0

    def read(self, _y: Pixels) -> list[Code]:
        self.asked += 1
        return [Code(format="QR Code", payload=b"lie", text="lie", corners=self.corners, px_per_module=None)]


def test_the_second_reader_says_where_a_code_is_and_never_what_it_says() -> None:
    code = printed("0123456789AB" * 8)
    code[40:110, 60:130] = 25  # a thumb
    table = on_table((code, 100, 100))
    second = Told(((30.0, 30.0), (180.0, 30.0), (180.0, 180.0), (30.0, 180.0)))
    reader = QrReader(second=second)
    looks = [reader.look(table) for _ in range(10)]
    assert second.asked
    assert all(not look.codes for look in looks)
    assert QrReader(second=Told(second.corners)).read(on_table((printed("truth"), 100, 100)))[0].text == "truth"


def test_a_small_light_on_dark_code_is_read_within_half_a_second_of_film() -> None:
    code = cv2.resize(255 - printed("0123456789AB" * 4, scale=8), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    film = []
    for i in range(6):
        table = np.full((480, 640), 60, np.uint8)
        table[100 + i : 100 + i + code.shape[0], 100 : 100 + code.shape[1]] = code
        film.append(cv2.GaussianBlur(table, (0, 0), 0.6).astype(np.uint8))
    reader = QrReader()
    assert [code.text for picture in film for code in reader.read(picture)][:1] == ["0123456789AB" * 4]


@given(
    text=st.text(
        st.sampled_from("AĂÂBCDĐEÊGHIKLMNOÔƠPQRSTUƯVXYÀẢÃÁẠẰẾỘỨỶ abcđêôơưạếộự|0123456789"), min_size=1, max_size=40
    )
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_in_vietnamese_comes_back_letter_for_letter(text: str) -> None:
    # left to itself, segno takes some pairs of UTF-8 bytes for kanji, and a reader then gives other bytes back
    (read,) = QrReader().read(printed(text.encode(), mode="byte"))
    assert (read.text, read.payload) == (text, text.encode())


def test_an_aztec_code_and_a_tubes_label_are_read_when_they_are_asked_for() -> None:
    for format_, name in ((zxingcpp.BarcodeFormat.Aztec, "AztecCode"), (zxingcpp.BarcodeFormat.Code128, "Code128")):
        drawn = zxingcpp.write_barcode_to_image(zxingcpp.create_barcode("HC1-42", format_), scale=3)
        label = cv2.copyMakeBorder(np.asarray(drawn), 20, 20, 30, 30, cv2.BORDER_CONSTANT, value=(255,))
        picture = cv2.resize(label, None, fx=1, fy=3 if label.shape[0] < 80 else 1).astype(np.uint8)
        assert [code.text for code in QrReader(formats=(name,)).read(picture)] == ["HC1-42"]
        assert not QrReader().read(picture)


@pytest.mark.data
def test_phone_photos_are_read() -> None:
    folder = DATA / "qr" / "zxing" / "qrcode-6"
    if not folder.is_dir():
        pytest.skip(f"NO DEVELOPMENT DATA: {os.path.normpath(folder)} is absent")
    photos = sorted(folder.glob("*.png")) + sorted(folder.glob("*.jpg"))
    reader = QrReader(thorough=True)
    for photo in photos:
        picture = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        want = photo.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n")
        assert want in [code.text for code in reader.read(picture.astype(np.uint8))], photo.name
