import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import segno

from edge.stills import read


def save(path: Path, payload: str | bytes, **options: object) -> Path:
    out = io.BytesIO()
    segno.make_qr(payload, error="m").save(out, kind="png", scale=4, **options)
    path.write_bytes(out.getvalue())
    return path


def test_a_picture_gives_its_codes(tmp_path: Path) -> None:
    path = save(tmp_path / "pass.png", "VÕ ANH YẾN")
    found = read(path)
    assert found["file"] == str(path)
    (code,) = found["codes"]
    assert code["format"] == "QR Code"
    assert code["text"] == "VÕ ANH YẾN"
    assert bytes.fromhex(code["bytes_hex"]).decode() == "VÕ ANH YẾN"
    assert code["corners"][0] == pytest.approx([16, 16], abs=2)
    assert found["ms"] >= 0


def test_bytes_that_are_no_text_are_given_as_bytes_alone(tmp_path: Path) -> None:
    (code,) = read(save(tmp_path / "binary.png", b"\xff\x00\xfe"))["codes"]
    assert (code["text"], code["bytes_hex"]) == (None, "ff00fe")


def test_a_code_on_a_transparent_ground_is_read(tmp_path: Path) -> None:
    (code,) = read(save(tmp_path / "clear.png", "see through", light=None))["codes"]
    assert code["text"] == "see through"


def test_a_picture_without_a_code_has_none(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    path.write_bytes(bytes(cv2.imencode(".png", np.full((60, 80), 200, np.uint8))[1]))
    assert read(path)["codes"] == []


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_file_that_is_no_picture_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    assert "no picture" in read(path)["error"]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert "cannot be read" in read(tmp_path / "absent.png")["error"]
