"""A box brings its newest pictures to a real HTTP server."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge.gate.stills import Stills
from edge.sighting import Still
from models.wire.topics import Box

AT = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


class Central(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Put)
        self.status = 204
        self.came: list[tuple[str, str, bytes]] = []
        self.heard = threading.Semaphore(0)


class Put(BaseHTTPRequestHandler):
    server: Central

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.path, self.headers["Taken-At"], content))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.heard.release()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def central() -> Iterator[Central]:
    server = Central()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def still(jpeg: bytes, camera: str = "cam-3") -> Still:
    return Still(camera=camera, seen_at=AT, jpeg=jpeg)


def test_only_the_newest_of_each_camera_is_brought(central: Central) -> None:
    stills = Stills(f"http://127.0.0.1:{central.server_port}", Box("st-112", "edge-01"), every_s=0.05)
    for jpeg in (b"1", b"2", b"3"):
        stills.put(still(jpeg))
    stills.put(still(b"other", "cam-4"))
    stills.start()
    assert central.heard.acquire(timeout=10)
    assert central.heard.acquire(timeout=10)
    stills.close()
    assert sorted(central.came) == [
        ("/stills/st-112/edge-01/cam-3", AT.isoformat(), b"3"),
        ("/stills/st-112/edge-01/cam-4", AT.isoformat(), b"other"),
    ]
    assert (stills.brought, stills.failed) == (2, 0)


def test_a_refusal_is_counted_and_the_next_picture_is_tried(central: Central) -> None:
    central.status = 503
    stills = Stills(f"http://127.0.0.1:{central.server_port}", Box("st-112", "edge-01"), every_s=0.05)
    stills.start()
    stills.put(still(b"1"))
    assert central.heard.acquire(timeout=10)
    central.status = 204
    stills.put(still(b"2"))
    assert central.heard.acquire(timeout=10)
    stills.close()
    assert (stills.brought, stills.failed) == (1, 1)
