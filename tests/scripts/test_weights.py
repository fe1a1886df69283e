"""`scripts/weights get` against a server of its own, with a card of its own."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = bytes(range(256)) * 4000


class Publisher(BaseHTTPRequestHandler):
    """Serves MODEL, from where it is asked; breaks off in the middle for `/broken`."""

    asked: list[str | None] = []  # noqa: RUF012 - one server, one list

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(MODEL) - start))
        self.end_headers()
        self.wfile.write(MODEL[start : 500_000 if self.path == "/broken" else None])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def publisher() -> Iterator[str]:
    Publisher.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The script in a tree of its own, beside a card of MODEL."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "weights", tmp_path / "scripts" / "weights")
    cards = tmp_path / "models" / "vision" / "cards"
    cards.mkdir(parents=True)
    (cards / "tiny.json").write_text(json.dumps({"family": "yolox", "sha256": [hashlib.sha256(MODEL).hexdigest()]}))
    return tmp_path / "scripts" / "weights"


def get(weights: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(weights), "get", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def target(weights: Path) -> Path:
    return weights.parents[1] / "models" / "vision" / "weights" / "tiny.onnx"


def test_a_broken_fetch_goes_on_where_it_ended(weights: Path, publisher: str) -> None:
    broken = get(weights, "tiny", "--url", f"{publisher}/broken")
    assert broken.returncode == 1
    assert "call me again and I go on there" in broken.stderr
    assert not target(weights).exists()
    done = get(weights, "tiny", "--url", publisher)
    assert done.returncode == 0, done.stderr
    assert Publisher.asked == [None, "bytes=500000-"]
    assert target(weights).read_bytes() == MODEL
    assert "is there already" in get(weights, "tiny", "--url", publisher).stdout


def test_a_file_of_another_content_is_thrown_away(weights: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"another")
    assert "which the card of tiny does not know" in get(weights, "tiny", "--from", str(wrong)).stderr
    assert not target(weights).exists()


def test_an_unknown_name_is_answered_with_those_there_are(weights: Path) -> None:
    assert "no card big; there are tiny" in get(weights, "big").stderr
