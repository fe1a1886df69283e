"""The power goes while a breach is filmed: what was filmed until then plays, and is sent afterwards."""

import json
import os
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from scripts.city.rtsp import RtspServer
from tests.clips import RATE, yard
from tests.faults.rig import free_port

pytestmark = pytest.mark.flow
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90.0


def until(look: Callable[[], bool], what: str, log: Path) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < ends, f"never: {what}\n{log.read_text(errors='replace')[-3000:]}"
        time.sleep(0.05)


def pictures(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def cut_films(evidence: Path) -> list[dict[str, Any]]:
    told = [msgspec.json.decode(path.read_bytes()) for path in evidence.glob("*.json")]
    return [one for one in told if one.get("clip") and one.get("whole") is False]


def test_kill_minus_nine_of_the_gate_while_it_films_leaves_a_film_that_plays(tmp_path: Path) -> None:
    server = RtspServer()
    server.add("yard", yard(tmp_path / "yard.mp4"))
    server.start()
    evidence, log = tmp_path / "edge" / "evidence", tmp_path / "edge.log"
    key = urlsafe_b64encode(X25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    zone = {"id": "yard", "kind": "stay-inside", "polygon": [[0.05, 0.1], [0.6, 0.1], [0.6, 0.95], [0.05, 0.95]]}
    camera = {"id": "yard", "source": server.url("yard"), "watch": "quarantine", "detector": "motion"}
    settings = {
        "site": "q-01",
        "edge": "edge-01",
        "data": str(tmp_path / "edge"),
        "eyes": 1,
        "central": {
            "broker": f"mqtt://127.0.0.1:{free_port()}", "http": f"http://127.0.0.1:{free_port()}", "seal_key": key,
        },
        "screen": {"port": 0},
        "cameras": [camera | {"person_px": [60, 120], "zones": [zone]}],
    }  # fmt: skip
    config = tmp_path / "edge.yaml"
    config.write_text(json.dumps(settings))

    def start() -> "subprocess.Popen[bytes]":
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "edge", "run", str(config)], cwd=ROOT, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    gate = start()
    try:
        until(
            lambda: any(path.read_bytes().count(b"moof") > 1 for path in evidence.glob("*.film")), "a film grows", log
        )
        gate.send_signal(signal.SIGKILL)
        gate.wait()
        # the film is adopted before the eye can see anybody again
        gate = start()
        until(lambda: bool(cut_films(evidence)), "the film has its manifest", log)
        (cut,) = cut_films(evidence)
        assert pictures(evidence / f"{cut['clip']}.mp4") > RATE
        gate.terminate()
        assert gate.wait(60) == 0
    finally:
        if gate.poll() is None:
            os.killpg(gate.pid, signal.SIGKILL)
            gate.wait()
        server.stop()
