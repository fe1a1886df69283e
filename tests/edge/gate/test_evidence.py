import hashlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from edge.gate.evidence import Evidence, Filmed, Manifest
from edge.gate.signer import Signer
from edge.sighting import Footage
from models.wire.events import ZoneBreached

AT = datetime(2021, 9, 21, 6, tzinfo=UTC)
PICTURES = b"\0\0\0\x0cmoofhead" + b"\0\0\0\x0fmdatpicture"
"""A fragment, as far as anybody looks into it here."""
BREACH = ZoneBreached(
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


class Central(ThreadingHTTPServer):
    """Keeps what is PUT; answers with `status`. Every third part of a large one is cut off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Put)
        self.status = 201
        self.kept: dict[str, bytes] = {}
        self.halves: dict[str, bytes] = {}
        self.parts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Put(BaseHTTPRequestHandler):
    server: Central

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        told = self.headers["Content-Range"]
        if told is not None:
            self._part(content, told)
            return
        if self.server.status == 201:
            self.server.kept[self.path] = content
        self._answer(self.server.status)

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.server.kept else 404)

    def _part(self, content: bytes, told: str) -> None:
        start, total = int(told.split()[1].partition("-")[0]), int(told.rpartition("/")[2])
        assert start == len(self.server.halves.get(self.path, b""))
        self.server.parts += 1
        if self.server.parts % 3 == 0:
            self.close_connection = True
            self.connection.close()
            return
        whole = self.server.halves.get(self.path, b"") + content
        self.server.halves[self.path] = whole
        if len(whole) == total:
            self.server.kept[self.path] = whole
        self._answer(201 if len(whole) == total else 202)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Upload-Offset", str(len(self.server.halves.get(self.path, b""))))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def central() -> Iterator[Central]:
    with Central() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def spool(folder: Path, url: str, **how: Any) -> Evidence:
    return Evidence(folder / "spool", url, Signer(folder / "key"), **how)


def put(evidence: Evidence, jpeg: bytes, event: str = "e1") -> str:
    return evidence.put(jpeg, event=event, camera="cam-2", breach=BREACH, taken_at=AT)


def film(evidence: Evidence, data: bytes, part: Literal["fragment", "clip"], *, last: bool = False) -> Filmed | None:
    return evidence.film(
        Footage(camera="cam-2", incident="1f", part=part, data=data, last=last, began_at=AT, seconds=20.0)
    )


def left(folder: Path) -> list[str]:
    return [path.name for path in (folder / "spool").iterdir() if path.name != "sequence"]


def wait_until_empty(evidence: Evidence) -> None:
    until = time.monotonic() + 10
    while evidence.waiting and time.monotonic() < until:
        time.sleep(0.01)


def test_the_picture_goes_before_its_manifest_and_both_leave_the_disk(central: Central, tmp_path: Path) -> None:
    evidence = spool(tmp_path, central.url)
    name = put(evidence, b"jpeg")
    wait_until_empty(evidence)
    evidence.close()
    assert left(tmp_path) == []
    snapshot, manifest = central.kept
    assert snapshot == f"/evidence/{hashlib.sha256(b'jpeg').hexdigest()}"
    assert manifest == f"/evidence/{name}"
    read = msgspec.json.decode(central.kept[manifest], type=Manifest)
    assert (read.event, read.incident, read.taken_at) == ("e1", "1f", AT)
    assert hashlib.sha256(central.kept[manifest]).hexdigest() == name


def test_what_central_refuses_is_kept_and_sent_again(central: Central, tmp_path: Path) -> None:
    central.status = 503
    evidence = spool(tmp_path, central.url)
    put(evidence, b"jpeg")
    until = time.monotonic() + 10
    while not evidence.refused and time.monotonic() < until:
        time.sleep(0.01)
    assert evidence.waiting == 1
    central.status = 201
    wait_until_empty(evidence)
    evidence.close()
    assert len(central.kept) == 2


def test_evidence_waits_through_a_restart_for_a_central_that_is_away(central: Central, tmp_path: Path) -> None:
    away = spool(tmp_path, "http://127.0.0.1:9")
    put(away, b"jpeg")
    away.close()
    assert away.waiting == 1
    back = spool(tmp_path, central.url)
    wait_until_empty(back)
    back.close()
    assert len(central.kept) == 2


def test_the_oldest_makes_room_and_is_counted(tmp_path: Path) -> None:
    evidence = spool(tmp_path, "http://127.0.0.1:9", cap_bytes=3600)
    for n in range(4):
        put(evidence, bytes([n]) * 1000, event=f"e{n}")
    evidence.close()
    assert evidence.dropped == 2
    kept = [msgspec.json.decode(path.read_bytes(), type=Manifest).event for path in (tmp_path / "spool").glob("*.json")]
    assert sorted(kept) == ["e2", "e3"]


def test_what_a_power_cut_left_half_done_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / f"{'a' * 64}.jpg").write_bytes(b"no manifest names it")
    (tmp_path / "spool" / "half.part").write_bytes(b"x")
    (tmp_path / "spool" / f"{'b' * 64}.json").write_bytes(b"{}")
    evidence = spool(tmp_path, "http://127.0.0.1:9")
    evidence.close()
    assert left(tmp_path) == []
    assert evidence.dropped == 1


def test_a_film_follows_its_picture_in_parts_over_a_line_that_breaks(central: Central, tmp_path: Path) -> None:
    evidence = spool(tmp_path, central.url)
    first = put(evidence, b"jpeg")
    whole = bytes(range(256)) * 16_000
    film(evidence, b"as it goes on", "fragment")
    film(evidence, whole[:2_000_000], "clip")
    filmed = film(evidence, whole[2_000_000:], "clip", last=True)
    assert filmed is not None
    assert filmed.breach == BREACH
    wait_until_empty(evidence)
    evidence.close()
    assert left(tmp_path) == []
    second = msgspec.json.decode(central.kept[f"/evidence/{filmed.dataref}"], type=Manifest)
    assert (second.follows, second.event, second.whole, second.sequence) == (first, "e1", True, 2)
    assert central.kept[f"/evidence/{second.clip}"] == whole
    assert central.parts > 4


def test_a_film_that_a_crash_cut_short_is_adopted_as_far_as_it_goes(central: Central, tmp_path: Path) -> None:
    died = spool(tmp_path, "http://127.0.0.1:9")
    put(died, b"jpeg")
    film(died, PICTURES, "fragment")
    film(died, PICTURES + PICTURES[:9], "fragment")
    film(died, b"half a", "clip")
    died.close()
    again = spool(tmp_path, central.url)
    (filmed,) = again.adopted
    wait_until_empty(again)
    again.close()
    manifest = msgspec.json.decode(central.kept[f"/evidence/{filmed.dataref}"], type=Manifest)
    assert manifest.whole is False
    assert central.kept[f"/evidence/{manifest.clip}"] == 2 * PICTURES
    assert left(tmp_path) == []


def test_a_film_of_an_eye_that_died_ends_there_and_tells_the_newest_word(tmp_path: Path) -> None:
    evidence = spool(tmp_path, "http://127.0.0.1:9")
    put(evidence, b"jpeg")
    film(evidence, PICTURES, "fragment")
    evidence.heard("cam-2", msgspec.structs.replace(BREACH, phase="close"))
    assert evidence.cut_short({"cam-1"}) == []
    (filmed,) = evidence.cut_short({"cam-2"})
    evidence.close()
    assert filmed.breach.phase == "close"


def test_a_piece_of_film_without_a_breach_is_counted_and_left(tmp_path: Path) -> None:
    evidence = spool(tmp_path, "http://127.0.0.1:9")
    assert film(evidence, b"x", "clip", last=True) is None
    evidence.close()
    assert evidence.strange_films == 1
    assert left(tmp_path) == []
