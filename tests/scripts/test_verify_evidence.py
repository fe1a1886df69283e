import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.gate.evidence import Evidence
from edge.gate.signer import Signer
from edge.sighting import Footage
from models.wire.events import ZoneBreached

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2021, 9, 21, 6, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What a box has of one breach: two manifests, a picture and a film."""
    evidence = Evidence(tmp_path / "spool", "http://127.0.0.1:9", Signer(tmp_path / "key"))
    breach = ZoneBreached(
        phase="open",
        incident="1f",
        zone="yard",
        track=1,
        box=(0.1, 0.1, 0.2, 0.2),
        foot=(0.2, 0.3),
        left_at=1.0,
        reported_at=2.0,
        certainty="left",
    )
    evidence.put(b"a picture", event="e1", camera="cam-2", breach=breach, taken_at=AT)
    film = Footage(camera="cam-2", incident="1f", part="clip", data=b"film", last=True, began_at=AT, seconds=20.0)
    assert evidence.film(film)
    evidence.close()
    return tmp_path / "spool"


def verify(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "verify-evidence"), str(folder), *more]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_what_a_box_has_signed_is_proven(files: Path, tmp_path: Path) -> None:
    said = verify(files, "--box", Signer(tmp_path / "key").public)
    assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "proven"), said.stdout
    assert said.stdout.count("good") == 6


@pytest.mark.parametrize("suffix", ["mp4", "jpg"])
def test_a_film_or_a_picture_of_which_one_byte_was_changed_is_not(files: Path, suffix: str) -> None:
    (part,) = files.glob(f"*.{suffix}")
    part.write_bytes(part.read_bytes()[:-1] + b"!")
    said = verify(files)
    assert (said.returncode, said.stdout.splitlines()[-1]) == (1, "NOT PROVEN")


def test_a_manifest_that_was_changed_is_not(files: Path) -> None:
    for manifest in files.glob("*.json"):
        manifest.write_bytes(manifest.read_bytes().replace(b"cam-2", b"cam-3"))
    assert verify(files).returncode == 1


def test_another_boxs_signature_does_not_count_where_the_box_is_known(files: Path, tmp_path: Path) -> None:
    assert verify(files, "--box", Signer(tmp_path / "another").public).returncode == 1


def test_an_empty_folder_proves_nothing(tmp_path: Path) -> None:
    assert verify(tmp_path).returncode == 1
