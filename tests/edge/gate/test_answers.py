"""Central asks, the box answers: only central, only this box, and only central can read it."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import UNSET

from edge.gate.answers import Answers
from edge.gate.configuration import Configuration
from edge.settings import EdgeSettings
from edge.sighting import Still
from models.document import load
from models.wire import command as wire
from models.wire.command import Answer, Command
from models.wire.seal import key_id
from models.wire.topics import Box
from scripts.city.rtsp import RtspServer
from tests.clips import render

BOX = Box("q-01", "edge-01")
FILE = """site: q-01
edge: edge-01
cameras:
  - {id: cam-1, source: "rtsp://guard:s3cr3t@10.0.0.5/main", watch: quarantine}
"""


class Central:
    """Both keys of central, and the answers that came."""

    def __init__(self, folder: Path) -> None:
        self.sign, self.open = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.still = Still(camera="cam-1", seen_at=datetime.now(UTC), jpeg=b"\xff\xd8", bodies=((0.1, 0.2, 0.1, 0.3),))
        self.heard: dict[str, str] = {}
        self.escorts: dict[tuple[str, str], datetime] = {}
        self._came = threading.Condition()
        path = folder / "box.yaml"
        path.write_text(FILE)
        public = self.sign.public_key().public_bytes_raw()
        self.answers = Answers(
            BOX,
            public,
            self.open.public_key().public_bytes_raw(),
            configuration=Configuration(path, load(path, EdgeSettings), public),
            still=lambda camera: self.still if camera == "cam-1" else None,
            escort=self.escort,
            say=self.hear,
        )

    def escort(self, camera: str, zone: str, until: datetime) -> bool:
        self.escorts[camera, zone] = until
        return camera == "cam-1"

    def hear(self, name: str, sealed: str) -> None:
        with self._came:
            self.heard[name] = sealed
            self._came.notify_all()

    def ask(self, ask: Any, *, at: datetime | None = None, **more: Any) -> Answer:
        told = Command(site="q-01", edge="edge-01", id="1", at=at or datetime.now(UTC), ask=ask, **more)
        self.answers.take(wire.sign(told, self.sign))
        with self._came:
            assert self._came.wait_for(lambda: "1" in self.heard, 60)
        keys = {key_id(self.open.public_key().public_bytes_raw()): self.open}
        return wire.open_(self.heard.pop("1"), keys)


@pytest.fixture
def central(tmp_path: Path) -> Any:
    made = Central(tmp_path)
    yield made
    made.answers.close()


def test_the_boxs_file_comes_sealed(central: Central) -> None:
    assert central.ask("config").yaml == FILE


def test_a_file_is_checked_and_nothing_changes(central: Central) -> None:
    assert central.ask("check", yaml=FILE.replace("cam-1", "cam-2")).refused is UNSET
    assert "cameras.0.watch" in str(central.ask("check", yaml=FILE.replace("quarantine", "dancing")).refused)
    assert central.ask("config").yaml == FILE


def test_the_newest_picture_comes_with_who_is_in_it(central: Central) -> None:
    answer = central.ask("still", camera="cam-1")
    assert (answer.jpeg, answer.bodies) == (b"\xff\xd8", ((0.1, 0.2, 0.1, 0.3),))
    assert central.ask("still", camera="cam-9").fault == "no_picture"


def test_an_old_command_is_told_by_the_clock(central: Central) -> None:
    assert central.ask("config", at=datetime.now(UTC) - timedelta(minutes=5)).fault == "clock"


def test_a_strangers_command_and_one_for_another_box_get_no_answer(central: Central) -> None:
    told = Command(site="q-01", edge="edge-01", id="2", at=datetime.now(UTC), ask="config")
    central.answers.take(wire.sign(told, Ed25519PrivateKey.generate()))
    other = Command(site="q-01", edge="edge-02", id="3", at=datetime.now(UTC), ask="config")
    central.answers.take(wire.sign(other, central.sign))
    central.answers.take(b"\xff no command")
    assert central.ask("config").yaml == FILE
    assert not central.heard
    assert central.answers.refused == 3


def test_a_camera_is_tried_and_its_password_is_in_no_answer(central: Central, tmp_path: Path) -> None:
    server = RtspServer(user="admin", password="s3cr3t")
    server.add("cam", render(tmp_path / "clip.mp4", size=(320, 240)))
    server.start()
    source = server.url("cam").replace("//", "//admin:s3cr3t@")
    answer = central.ask(
        "probe", settings={"id": "new", "source": source, "watch": "checkpoint"}, lens_degrees=30.0, distance_m=0.5
    )
    server.stop()
    assert answer.found is not UNSET
    assert (answer.found["codec"], answer.found["width"]) == ("h264", 320)
    assert "too_small" in {one["key"] for one in answer.found["advice"]}
    assert answer.found["modules"]["cccd"][1] == "unreadable"
    assert "s3cr3t" not in repr(answer)


def test_what_cannot_be_a_camera_is_refused_without_its_address(central: Central) -> None:
    answer = central.ask("probe", settings={"id": "A b", "source": "rtsp://u:s3cr3t@cam/a", "watch": "checkpoint"})
    assert "id" in str(answer.refused)
    assert "s3cr3t" not in repr(answer)


def test_an_escort_is_taken_for_a_zone_that_is_there_until_its_time(central: Central) -> None:
    until = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert central.ask("escort", camera="cam-1", zone="yard", until=until).fault is UNSET
    assert central.ask("escort", camera="cam-9", zone="yard", until=until).fault == "zone"
    assert central.ask("escort", camera="cam-1", zone="yard").fault == "zone"
    assert central.escorts["cam-1", "yard"] == until
