import hashlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from edge.gate.evidence import Evidence, Manifest

AT = datetime(2021, 9, 21, 6, tzinfo=UTC)


class Central(ThreadingHTTPServer):
    """Keeps what is PUT; answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Put)
        self.status = 201
        self.kept: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Put(BaseHTTPRequestHandler):
    server: Central

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 201:
            self.server.kept[self.path] = content
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
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


def put(evidence: Evidence, jpeg: bytes, event: str = "e1") -> str:
    return evidence.put(jpeg, event=event, camera="cam-2", incident="i1", taken_at=AT)


def wait_until_empty(evidence: Evidence) -> None:
    until = time.monotonic() + 10
    while evidence.waiting and time.monotonic() < until:
        time.sleep(0.01)


def test_the_picture_goes_before_its_manifest_and_both_leave_the_disk(central: Central, tmp_path: Path) -> None:
    evidence = Evidence(tmp_path, central.url)
    name = put(evidence, b"jpeg")
    wait_until_empty(evidence)
    evidence.close()
    assert list(tmp_path.iterdir()) == []
    snapshot, manifest = central.kept
    assert snapshot == f"/evidence/{hashlib.sha256(b'jpeg').hexdigest()}"
    assert manifest == f"/evidence/{name}"
    read = msgspec.json.decode(central.kept[manifest], type=Manifest)
    assert (read.event, read.incident, read.taken_at) == ("e1", "i1", AT)
    assert hashlib.sha256(central.kept[manifest]).hexdigest() == name


def test_what_central_refuses_is_kept_and_sent_again(central: Central, tmp_path: Path) -> None:
    central.status = 503
    evidence = Evidence(tmp_path, central.url)
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
    away = Evidence(tmp_path, "http://127.0.0.1:9")
    put(away, b"jpeg")
    away.close()
    assert away.waiting == 1
    back = Evidence(tmp_path, central.url)
    wait_until_empty(back)
    back.close()
    assert len(central.kept) == 2


def test_the_oldest_makes_room_and_is_counted(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path, "http://127.0.0.1:9", cap_bytes=3000)
    for n in range(4):
        put(evidence, bytes([n]) * 1000, event=f"e{n}")
    evidence.close()
    assert evidence.dropped == 2
    kept = [msgspec.json.decode(path.read_bytes(), type=Manifest).event for path in tmp_path.glob("*.json")]
    assert sorted(kept) == ["e2", "e3"]


def test_what_a_power_cut_left_half_done_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / f"{'a' * 64}.jpg").write_bytes(b"no manifest names it")
    (tmp_path / "half.part").write_bytes(b"x")
    (tmp_path / f"{'b' * 64}.json").write_bytes(b"{}")
    evidence = Evidence(tmp_path, "http://127.0.0.1:9")
    evidence.close()
    assert list(tmp_path.iterdir()) == []
    assert evidence.dropped == 1
