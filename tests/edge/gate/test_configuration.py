from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.gate.configuration import Configuration
from edge.settings import EdgeSettings
from models.document import load
from models.wire import config as wire

AT = datetime(2021, 9, 21, tzinfo=UTC)
FILE = """site: cp-014
edge: edge-01
cameras:
  - {id: cam-1, source: /clip.mp4, watch: traffic}
"""


class Box:
    def __init__(self, folder: Path) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.path = folder / "box.yaml"
        self.path.write_text(FILE)
        self.configuration = self.begin()

    def begin(self) -> Configuration:
        return Configuration(self.path, load(self.path, EdgeSettings), self.key.public_key().public_bytes_raw())

    def send(self, yaml: str, *, edge: str = "edge-01", at: datetime = AT) -> EdgeSettings | None:
        told = wire.Configuration(site="cp-014", edge=edge, at=at, yaml=yaml)
        return self.configuration.take(wire.sign(told, self.key))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_signed_file_is_kept_and_gone_by(box: Box) -> None:
    before = box.configuration.sha256
    settings = box.send(FILE.replace("cam-1", "cam-2"))
    assert settings is not None
    assert [camera.id for camera in settings.cameras] == ["cam-2"]
    assert "cam-2" in box.path.read_text()
    assert box.configuration.sha256 != before
    assert box.send(FILE.replace("cam-1", "cam-2")) is None  # the broker keeps it and sends it at each connect


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (FILE.replace("traffic", "dancing"), "box.yaml:4: cameras.0.watch"),
        (FILE.replace("site: cp-014", "site: cp-015"), "site: cannot change"),
        (FILE + "data: /elsewhere\n", "data: cannot change"),
        ("cameras: [", "not YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_place_and_the_old_one_stays(box: Box, yaml: str, said: str) -> None:
    assert box.send(yaml) is None
    assert said in (box.configuration.refused or "")
    assert box.path.read_text() == FILE
    assert box.configuration.refusals == 1


def test_a_strangers_or_another_boxs_or_an_older_file_is_refused(box: Box) -> None:
    stranger = wire.Configuration(site="cp-014", edge="edge-01", at=AT, yaml=FILE.replace("cam-1", "cam-9"))
    assert box.configuration.take(wire.sign(stranger, Ed25519PrivateKey.generate())) is None
    assert box.send(FILE.replace("cam-1", "cam-2"), edge="edge-02") is None
    assert box.send(FILE.replace("cam-1", "cam-2")) is not None
    box.configuration = box.begin()
    assert box.send(FILE, at=AT - timedelta(seconds=1)) is None
    assert box.configuration.refused == "older than the one in force"
    assert box.configuration.take(b"no document") is None
