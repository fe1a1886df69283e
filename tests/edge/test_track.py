from pathlib import Path

import pytest

from edge.__main__ import main
from tests.clips import render

CONFIG = """
site: qs-001
edge: edge-01
cameras:
  - {id: cam-1, source: none, watch: quarantine, detector: motion, person_px: [20, 40], zones: []}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.yaml"
    path.write_text(CONFIG)
    return path


def test_a_clip_becomes_two_mot_files_that_repeat(tmp_path: Path, config: Path) -> None:
    clip = render(tmp_path / "clip.mp4", seconds=3.0)
    files = []
    for name in ("one", "two"):
        assert main(["track", str(clip), "--config", str(config), "--mot", str(tmp_path / name)]) == 0
        files.append([(tmp_path / f"{name}{suffix}").read_text() for suffix in (".det.txt", ".txt")])
    assert files[0] == files[1]
    found, told = ([row.split(",") for row in text.splitlines()] for text in files[0])
    assert {len(row) for row in found + told} == {10}
    assert all(row[1] == "-1" and 0.0 < float(row[6]) <= 1.0 for row in found)
    assert told, "a square that walks through the picture is somebody"
    assert all(int(row[1]) >= 1 and 1 <= int(row[0]) <= 30 for row in told)


def test_a_detector_that_is_not_there_is_said_with_its_path(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = render(tmp_path / "clip.mp4", seconds=0.5)
    config.write_text(CONFIG.replace("motion", "absent.onnx"))
    assert main(["track", str(clip), "--config", str(config), "--mot", str(tmp_path / "out")]) == 2
    assert "absent.onnx: no such model file" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = render(tmp_path / "clip.mp4", seconds=0.5)
    assert main(["track", str(clip), "--config", str(config), "--mot", str(tmp_path / "absent" / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err
