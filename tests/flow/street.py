"""A checkpoint in real processes: a rendered camera, central, an edge box, and what is stored on both sides."""

import asyncio
import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import httpx
import numpy as np
import pytest
import segno
import yaml
from sqlalchemy import text

from central import db
from scripts.city import people

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
SITE, EDGE = "cp-014", "edge-01"
TOPIC = f"v1/{SITE}/{EDGE}/event"
RATE = 10
SHOWN_SECONDS, GAP_SECONDS = 2.0, 0.6
PATIENCE_SECONDS = 30.0


def until(what: str, look: Callable[[], T | None], *, seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` finds, as soon as it finds something true; the test fails when the time is up."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > give_up:
            pytest.fail(f"{seconds:g} s are over, and still not: {what}")
        time.sleep(0.1)
    return found


def _street() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey road with kerbs, uneven as a lens sees it."""
    picture = np.full((480, 640, 3), 118, np.uint8)
    picture[:150] = (176, 170, 164)
    for left in range(0, 640, 130):
        cv2.rectangle(picture, (left, 40), (left + 60, 150), (140, 132, 128), -1)
    cv2.line(picture, (90, 480), (250, 150), (205, 205, 205), 4)
    cv2.line(picture, (560, 480), (400, 150), (205, 205, 205), 4)
    shade = np.random.default_rng(3).integers(0, 10, picture.shape, np.uint8)
    uneven: np.ndarray[Any, np.dtype[np.uint8]] = picture + shade
    return uneven


def render(path: Path, texts: Sequence[str]) -> Path:
    """One person after another holds a code to the camera; the lane is empty between them."""
    street = _street()
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        video.options = {"preset": "veryfast", "bf": "0", "g": str(RATE), "crf": "22", "threads": "1"}
        for code in texts:
            modules = np.array([list(row) for row in segno.make_qr(code).matrix_iter(scale=6, border=4)], np.uint8)
            card = np.where(modules[..., None] > 0, 24, 236).astype(np.uint8)
            side = card.shape[0]
            for number in range(int((SHOWN_SECONDS + GAP_SECONDS) * RATE)):
                picture = street.copy()
                if number < SHOWN_SECONDS * RATE:
                    top, left = 90 + number % 5, 150 + number
                    picture[top : top + side, left : left + side] = card
                for packet in video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                    container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path


def write_registry(path: Path) -> Path:
    """A few residents: somebody who may pass, an F0, and others. The third of the cast is in no registry."""
    may_pass, sick = people.CAST[0].person, people.CAST[1].person
    declared = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(people.HEADER)
        for person, f0 in ((may_pass, ""), (sick, "1")):
            row = (person.number, person.name, person.birth.isoformat(), person.sex, person.ward, person.qid)
            out.writerow((*row, f0, "", "", declared, "2"))
    return path


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@dataclass
class Programme:
    """One of our commands, in a session of its own; what it says goes to `log`, over all its lives."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        assert self.process is None, f"{self.name} already runs"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask_to_end(self) -> int:
        """SIGTERM, and its exit status."""
        assert self.process is not None, f"{self.name} does not run"
        self.process.terminate()
        status = self.process.wait(timeout=PATIENCE_SECONDS)
        self.process = None
        return status

    def kill(self) -> None:
        """It and whatever it started."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def address(self, file: Path) -> str:
        """What it writes to `file` once it listens; a programme that dies before fails the test."""

        def look() -> str | None:
            assert self.process is not None, f"{self.name} does not run"
            status = self.process.poll()
            if status is not None:
                pytest.fail(f"{self.name} ended with {status}")
            return file.read_text().strip().rstrip("/") if file.exists() else None

        return until(f"{self.name} says where it listens", look)


@dataclass
class Street:
    """A city with one checkpoint. `database` is central's URL."""

    folder: Path
    database: str
    broker: str
    programmes: list[Programme] = field(default_factory=list)
    admin: dict[str, str] = field(default_factory=dict)
    """What the first set-up has printed: a name and a password."""

    @property
    def central_url(self) -> str:
        return (self.folder / "central" / "http.url").read_text().strip()

    def programme(self, name: str, *command: str) -> Programme:
        made = Programme(name, command, self.folder / f"{name}.log")
        self.programmes.append(made)
        return made

    def logs(self) -> str:
        """Everything that any process said."""
        return "\n".join(
            f"=== {log.name}\n{log.read_text(errors='replace')}" for log in sorted(self.folder.glob("*.log"))
        )

    def end(self) -> None:
        for programme in reversed(self.programmes):
            programme.kill()

    # Central

    def _central_config(self, port: int) -> Path:
        config = self.folder / "central.yaml"
        # A busy test machine is slower than a gate may be: scans are answered here that a real one would let go.
        settings = {
            "database": self.database,
            "broker": self.broker,
            "data": str(self.folder / "central"),
            "port": port,
            "policy": str(ROOT / "configs/policies/directive-22.json"),
            "pass_fresh_seconds": 15.0,
            "snapshot": {"every_seconds": 0.5, "carry": {"*": "all"}},
        }
        config.write_text(json.dumps(settings))  # JSON is YAML
        return config

    def _say(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "central", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        return done.stdout

    def found_central(self) -> Programme:
        """Keys, the registry, and a central that takes events."""
        config = self._central_config(0)
        self._say("keys", "--config", str(config))
        told = self._say(
            "import-residents", str(write_registry(self.folder / "residents.csv")), "--config", str(config)
        )
        assert told.startswith("2 new"), told
        self.admin = dict(line.split(": ") for line in self._say("setup", "--config", str(config)).splitlines())
        central = self.programme("central", sys.executable, "-m", "central", "serve", str(config))
        self.start_central(central)
        # A central that comes back is found where it was.
        self._central_config(int(self.central_url.rpartition(":")[2]))
        return central

    def start_central(self, central: Programme) -> None:
        (self.folder / "central" / "http.url").unlink(missing_ok=True)
        central.start()
        url = central.address(self.folder / "central" / "http.url")
        until("central is ready", lambda: _status(f"{url}/health/ready") == 200)

    @contextmanager
    def visitor(self) -> Iterator[httpx.Client]:
        """Somebody who has logged in to central as its admin."""
        with httpx.Client(base_url=self.central_url, timeout=10, headers={"origin": self.central_url}) as client:
            assert client.post("/login", data=self.admin).status_code == 303
            yield client

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of central's database. Not while a browser is open: both want the thread's event loop."""

        async def go() -> list[tuple[Any, ...]]:
            engine = db.connect(self.database)
            try:
                async with db.reading(engine) as connection:
                    return [tuple(row) for row in await connection.execute(text(statement))]
            finally:
                await engine.dispose()

        return asyncio.run(go())

    # The edge

    def found_edge(self, sources: dict[str, str]) -> Programme:
        """A box that serves these cameras (name to address), listening."""
        config = self.folder / "edge.yaml"
        settings = {
            "site": SITE,
            "edge": EDGE,
            "data": str(self.folder / "edge"),
            "eyes": 1,
            "central": {
                "broker": self.broker,
                "http": self.central_url,
                **yaml.safe_load(self._say("keys", "--config", str(self.folder / "central.yaml"))),
            },
            "screen": {"port": 0, "wait_seconds": 5.0},
            "cameras": [
                {"id": name, "source": source, "watch": "checkpoint", "hold_seconds": 3.0}
                for name, source in sources.items()
            ],
        }
        config.write_text(json.dumps(settings))
        edge = self.programme("edge", sys.executable, "-m", "edge", "run", str(config))
        edge.start()
        edge.address(self.folder / "edge" / "screen.url")
        return edge

    @property
    def screen_url(self) -> str:
        return (self.folder / "edge" / "screen.url").read_text().strip()

    def outbox(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the box's own disk."""
        with closing(sqlite3.connect(f"file:{self.folder}/edge/outbox.db?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement).fetchall()

    @property
    def waiting(self) -> int:
        return int(self.outbox("SELECT count(*) FROM event")[0][0])

    def panel(self, camera: str = "cam-1") -> dict[str, str]:
        """What the officer's panel says of the scan that it shows; nothing while it shows none."""
        page = httpx.get(f"{self.screen_url}?camera={camera}", timeout=10).text
        tag = re.search(r'<section id="panel"[^>]*>', page)
        return dict(re.findall(r'data-(scan|outcome|by)="([^"]*)"', tag[0])) if tag else {}

    def painted(self, *, by: str, camera: str = "cam-1", after: Sequence[str] = ()) -> dict[str, str]:
        """The next answer by `by` whose scan is none of `after`."""

        def look() -> dict[str, str] | None:
            shown = self.panel(camera)
            return shown if shown.get("by") == by and shown["scan"] not in after else None

        return until(f"an answer by {by} on the screen of {camera}", look)

    def is_whole(self) -> bool:
        """Every event that the box ever numbered is with central, once, and the box keeps none of them."""
        if self.waiting:
            return False
        epoch = self.outbox("SELECT value FROM meta WHERE key = 'epoch'")[0][0]
        numbered = int(self.outbox("SELECT seq FROM sqlite_sequence WHERE name = 'event'")[0][0])
        stored = sorted(row[0] for row in self.query(f"SELECT sequence FROM event WHERE epoch = '{epoch}'"))
        return stored == list(range(1, numbered + 1)) and not self.waiting


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.TransportError:
        return 0
