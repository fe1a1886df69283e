"""The demo: three RTSP cameras, a broker, central with a registry, one edge box; everything real, on loopback.

Run it by `scripts/demo`. It ends with Ctrl-C, or with `--seconds N`, which count from the first verdict; then its last
line is JSON, and the exit status says whether everything that had to come came.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from scripts.city import people, scene
from scripts.city.rtsp import RtspServer

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "demo"
RUN = CACHE / f"run-{os.getpid()}"
"""Its own, so that two demos do not meet; it stays when something went wrong."""
SITE, EDGE = "cp-014", "edge-01"
GATE, YARD, STREET = "gate", "yard", "street"
SCENES: dict[str, scene.Name] = {GATE: "checkpoint", YARD: "yard", STREET: "street"}
HOLD_S = 4.0
"""Shorter than one loop of the gate's scene, so that everybody in it is a new scan each time round."""
_SETTLE_S = 8.0
_PANEL = re.compile(r'data-scan="([^"]+)"[^>]*data-outcome="(PASS|FAIL|CHECK)"[^>]*data-by="(central|edge)"')


class Broken(RuntimeError):
    """A part of the demo has ended or does not answer; the message holds its last words."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """One process of the demo, in a group of its own, its output in a file."""

    def __init__(self, name: str, *words: str) -> None:
        self.name = name
        self._log = RUN / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def last_words(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def check(self) -> None:
        """Raises Broken when it has ended."""
        if self.has_ended:
            raise Broken(f"{self.name} has ended ({self._process.returncode}):\n{self.last_words()}")

    def finish(self, timeout_s: float = 300.0) -> None:
        """Wait for a process that ends by itself. Raises Broken unless it ends well."""
        if self._process.wait(timeout_s) != 0:
            raise Broken(f"{self.name} failed ({self._process.returncode}):\n{self.last_words()}")

    def stop(self, timeout_s: float = _SETTLE_S) -> None:
        if not self.has_ended:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


def until(what: str, ready: Callable[[], bool], child: Child, timeout_s: float = 60.0) -> None:
    """Raises Broken when `child` ends or the time is over before `ready`."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        child.check()
        if time.monotonic() > deadline:
            raise Broken(f"{what} not ready after {timeout_s:.0f} s; {child.name} says:\n{child.last_words()}")
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def written(path: Path) -> bool:
    return path.exists() and path.read_text(encoding="utf-8").strip() != ""


def python(*words: str) -> tuple[str, ...]:
    return (sys.executable, *words)


@dataclass(frozen=True)
class Shown:
    """One answer as it arrived on the officer's stream."""

    scan: str
    outcome: str
    by: str
    at_s: float


@dataclass
class Officer:
    """Somebody who looks at the officer's screen: every answer, once, when it came."""

    url: str
    shown: list[Shown] = field(default_factory=list)

    def watch(self) -> None:
        threading.Thread(target=self._watch, name="officer", daemon=True).start()

    def _watch(self) -> None:
        seen: set[tuple[str, str]] = set()
        while True:
            try:
                with httpx.stream("GET", f"{self.url}live?topics=panel.{GATE}", timeout=10.0) as stream:
                    for line in stream.iter_lines():
                        at_s = time.monotonic()
                        for scan, outcome, by in _PANEL.findall(line):
                            if (scan, outcome) not in seen:
                                seen.add((scan, outcome))
                                self.shown.append(Shown(scan, outcome, by, at_s))
            except httpx.HTTPError:
                time.sleep(0.2)


def latencies_ms(
    shown: Sequence[Shown], sent: Sequence[Any], windows: Sequence[scene.Window], live_since_s: float
) -> list[float]:
    """For each answer: from the sending of the first frame that showed the whole code. Sent is earlier than arrived, so
    the figure is never flattered. An answer that is not the one expected of the code in view counts for none of them;
    nor does a code that was held up already when the camera's first picture came.
    """
    found = []
    for answer in shown:
        before = [
            (frame.at_s, window.outcome)
            for frame in sent
            for window in windows
            if frame.frame == window.first and live_since_s <= frame.at_s <= answer.at_s
        ]
        if before:
            at_s, expected = max(before)
            if expected == answer.outcome:
                found.append((answer.at_s - at_s) * 1000)
    return found


def percentile(values: Sequence[float], part: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)


class Demo:
    def __init__(self, started_at: float, source: str | None, watch: str) -> None:
        self.started_at = started_at
        self._source = source
        self._watch = watch
        self._children: list[Child] = []
        # A server for each: a camera whose loop is not drawn yet refuses, which is tried again sooner than "not found".
        self._servers = {name: RtspServer(port=free_port()) for name in SCENES}
        self._drawing: dict[str, Child] = {}
        self._windows: list[scene.Window] = []
        self._mqtt = free_port()
        self._http = free_port()
        self.central = f"http://127.0.0.1:{self._http}/"
        self._officer: Officer | None = None
        self.first_verdict_s: float | None = None

    def _child(self, name: str, *words: str) -> Child:
        child = Child(name, *words)
        self._children.append(child)
        return child

    def _draw(self, name: str, *, nice: int = 0) -> Child:
        """Render in a process of its own: the first loop is needed before the others, which wait for idle time."""
        words = python("-m", "scripts.city.scene", str(CACHE), SCENES[name])
        return self._child(f"draw-{name}", "nice", "-n", str(nice), *words)

    def start(self) -> None:
        for old in CACHE.glob("run-*"):
            if not Path(f"/proc/{old.name.removeprefix('run-')}").exists():
                shutil.rmtree(old, ignore_errors=True)
        RUN.mkdir(parents=True)
        say("drawing the gate's scene, filling the registry …")
        gate = self._draw(GATE)
        broker = RUN / "mosquitto.conf"
        broker.write_text(
            (ROOT / "configs/mosquitto.conf")
            .read_text(encoding="utf-8")
            .replace("listener 1883 127.0.0.1", f"listener {self._mqtt} 127.0.0.1")
            + f"\nuser {'root' if os.geteuid() == 0 else 'mosquitto'}\n",
            encoding="utf-8",
        )
        mosquitto = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._broker = self._child("mosquitto", mosquitto, "-c", str(broker))
        config = RUN / "central.yaml"
        config.write_text(
            f"database: sqlite+aiosqlite:///{RUN}/central/central.db\n"
            f"broker: mqtt://127.0.0.1:{self._mqtt}\n"
            f"data: {RUN}/central\n"
            f"port: {self._http}\n"
            f"snapshot: {{every_seconds: 2, carry: {{{SITE}: all}}}}\n",
            encoding="utf-8",
        )
        keys = self._child("keys", *python("-m", "central", "keys", "--config", str(config)))
        residents = RUN / "residents.csv"
        people.write(residents, datetime.now(UTC))
        keys.finish()
        self._child(
            "import", *python("-m", "central", "import-residents", str(residents), "--config", str(config))
        ).finish()
        first = self._child("setup", *python("-m", "central", "setup", "--config", str(config)))
        first.finish()
        self._central = self._child("central", *python("-m", "central", "serve", str(config)))
        box = RUN / "edge.yaml"
        box.write_text(self._box(yaml.safe_load(keys.last_words())), encoding="utf-8")
        self._edge = self._child("edge", *python("-m", "edge", "run", str(box)))
        gate.finish()
        self._windows = scene.windows(scene.clip(SCENES[GATE], CACHE))
        until("central", lambda: answers(self.central + "health/ready"), self._central)
        screen_url = RUN / "edge" / "screen.url"
        until("the edge box", lambda: written(screen_url), self._edge)
        self.screen = screen_url.read_text(encoding="utf-8").strip().rstrip("/") + "/"
        # The first code comes when there is somebody to answer it.
        self._show(GATE)
        self._drawing = {name: self._draw(name, nice=15) for name in (YARD, STREET)}
        self._officer = Officer(self.screen)
        self._officer.watch()
        say(f"officer      {self.screen}")
        say(f"supervisor   {self.central}supervisor")
        say(f"traffic desk {self.central}traffic")
        say(f"all          {self.central}")
        say("log in with  " + ", ".join(first.last_words().splitlines()[-2:]))

    def _show(self, name: str) -> None:
        self._servers[name].add(name, scene.clip(SCENES[name], CACHE))
        self._servers[name].start()

    def _box(self, keys: dict[str, str]) -> str:
        """The edge's configuration. JSON is YAML."""
        cameras: list[dict[str, Any]] = [
            {"id": GATE, "source": self._servers[GATE].url(GATE), "watch": "checkpoint", "hold_seconds": HOLD_S},
            {
                "id": YARD, "source": self._servers[YARD].url(YARD), "watch": "quarantine",
                "person_px": scene.YARD_PERSON_PX,
                "zones": [{"id": "yard", "kind": "stay-inside", "polygon": scene.YARD}],
            },
            {
                "id": STREET, "source": self._servers[STREET].url(STREET), "watch": "traffic",
                "person_px": scene.STREET_PERSON_PX,
                "zones": [
                    {"id": "street", "kind": "count", "polygon": scene.STREET},
                    {"id": "crossing", "kind": "count-line", "polygon": scene.STREET_LINE},
                ],
            },
        ]  # fmt: skip
        if self._source:
            zone = {"id": "own", "kind": "stay-inside", "polygon": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.9], [0.2, 0.9]]}
            zones = (
                [] if self._watch == "checkpoint" else [zone | ({"kind": "count"} if self._watch == "traffic" else {})]
            )
            cameras.append({"id": "own", "source": self._source, "watch": self._watch, "zones": zones})
        return json.dumps(
            {
                "site": SITE, "edge": EDGE, "data": str(RUN / "edge"),
                "central": {"broker": f"mqtt://127.0.0.1:{self._mqtt}", "http": self.central, **keys},
                # more patient than a gate: what is shown here is central's answer, on a busy machine too
                "screen": {"port": 0, "wait_seconds": 1.0}, "cameras": cameras,
            },
            indent=1,
        )  # fmt: skip

    def step(self) -> str:
        """Once a second: starts what is ready, and says how it stands. Raises Broken."""
        for child in (self._broker, self._central, self._edge):
            child.check()
        for name in [name for name, drawing in self._drawing.items() if drawing.has_ended]:
            self._drawing.pop(name).finish()
            self._show(name)
        if self.first_verdict_s is None and (answered := self._answered()):
            self.first_verdict_s = answered[0].at_s - time.monotonic() + time.time() - self.started_at
        figures = self.figures()
        verdicts = "  ".join(f"{name} {number}" for name, number in figures["verdicts"].items())
        p95 = figures["scan_to_verdict_ms"]["p95"]
        return (
            f"{verdicts}  breaches {figures['breaches']}  levels {figures['crowd_levels']}  "
            f"stored {figures['stored']}/{figures['generated']}  p95 {'–' if p95 is None else round(p95)} ms"
        )

    def _answered(self) -> list[Shown]:
        return [shown for shown in (self._officer.shown if self._officer else []) if shown.by == "central"]

    def figures(self) -> dict[str, Any]:
        answered = self._answered()
        counted = Counter(shown.outcome for shown in answered)
        took_ms = latencies_ms(answered, list(self._servers[GATE].sent(GATE)), self._windows, self._live_since_s())
        return {
            "verdicts": {outcome: counted[outcome] for outcome in ("PASS", "FAIL", "CHECK")},
            "breaches": self._central_count("SELECT count(*) FROM incident"),
            "crowd_levels": self._stored("type = 'crowd.level.v1'"),
            "generated": ask(RUN / "edge/outbox.db", "SELECT coalesce(max(seq), 0) FROM sqlite_sequence"),
            "stored": self._stored("1"),
            "duplicates": self._stored("1")
            - self._central_count("SELECT count(*) FROM (SELECT DISTINCT edge, epoch, sequence FROM event)"),
            "first_verdict_s": None if self.first_verdict_s is None else round(self.first_verdict_s, 1),
            "scan_to_verdict_ms": {
                "p50": round(statistics.median(took_ms), 1) if took_ms else None,
                "p95": percentile(took_ms, 0.95),
            },
        }

    def _live_since_s(self) -> float:
        """Monotonic seconds of the gate's first picture, as the box told it."""
        live = f"type = 'camera.status.v1' AND camera = '{GATE}' AND data LIKE '%\"state\":\"live\"%'"
        days = "julianday('now') - julianday(min(time))"
        ago_ms = self._central_count(f"SELECT 86400000 * ({days}) FROM event WHERE {live}")  # noqa: S608  (our own words)
        return time.monotonic() - (ago_ms or 0) / 1000

    def _central_count(self, query: str) -> int:
        return ask(RUN / "central/central.db", query)

    def _stored(self, where: str) -> int:
        return self._central_count(f"SELECT count(*) FROM event WHERE {where}")  # noqa: S608  (our own words)

    def settle(self) -> None:
        """Stop the box, which sends what it has, and wait until central has taken it."""
        self._edge.stop()
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            figures = self.figures()
            if figures["stored"] >= figures["generated"]:
                return
            time.sleep(0.1)

    def close(self) -> None:
        for child in reversed(self._children):
            child.stop()
        for server in self._servers.values():
            server.stop()


def ask(database: Path, query: str) -> int:
    """One number, read beside the writer."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)
    try:
        number: int = connection.execute(query).fetchone()[0]
        return number
    finally:
        connection.close()


def say(words: str) -> None:
    print(words, flush=True)


def is_whole(figures: dict[str, Any]) -> bool:
    """Everything that had to come came, and nothing was lost or doubled."""
    return (
        all(figures["verdicts"].values())
        and figures["breaches"] > 0
        and figures["crowd_levels"] > 0
        and figures["stored"] == figures["generated"]
        and figures["duplicates"] == 0
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Cửa Ô on this machine: cameras, edge, central, screens."
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself, N seconds after the first verdict")
    parser.add_argument("--source", metavar="FILE|URL", help="a camera or clip of your own beside the three")
    parser.add_argument(
        "--watch", choices=("checkpoint", "quarantine", "traffic"), default="quarantine", help="what to look for in it"
    )
    wanted = parser.parse_args()
    if wanted.source and "://" not in wanted.source:
        wanted.source = str(Path(os.environ.get("CUAO_CALLED_FROM", ".")) / wanted.source)
        if not Path(wanted.source).exists():
            parser.error(f"--source: {wanted.source} does not exist; give a file or an rtsp:// address")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    demo = Demo(float(os.environ.get("CUAO_STARTED_AT") or time.time()), wanted.source, wanted.watch)
    try:
        demo.start()
        begun = time.monotonic()
        while True:
            line = demo.step()
            if sys.stdout.isatty():
                print(f"\r{line}  ", end="", flush=True)
            else:
                say(line)
            if wanted.seconds is not None:
                if demo.first_verdict_s is None and time.monotonic() - begun > 120:
                    raise Broken("no verdict after 120 s; look at the logs in .cache/demo/run-*")  # noqa: TRY301  (one way out)
                if demo.first_verdict_s is not None and (
                    time.time() - demo.started_at - demo.first_verdict_s >= wanted.seconds
                ):
                    break
            time.sleep(1.0)
        demo.settle()
        figures = demo.figures()
    except KeyboardInterrupt:
        say("")
        return 0
    except Broken as fault:
        print(fault, file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would leave processes behind
        demo.close()
    say(json.dumps(figures))
    return 0 if is_whole(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
