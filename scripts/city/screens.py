"""Screens by themselves, without cameras: what the browser tests and the bench look at, each in a process of its own.

`python -m scripts.city.screens` serves the officer's page and obeys the lines of its standard input.
"""

import asyncio
import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from edge.gate.screen import Screen, Showing
from models.passes.outcome import Outcome
from models.wire.events import CameraHealth

ROOT = Path(__file__).resolve().parents[2]
GATE, CROWD = "gate-1", "crowd-1"
OUTCOMES = (Outcome.PASS, Outcome.FAIL, Outcome.CHECK)
REASONS: dict[Outcome, tuple[str, ...]] = {
    Outcome.PASS: (),
    Outcome.FAIL: ("f0",),
    Outcome.CHECK: ("unknown", "no_data"),
}

PROBE = """
window.painted = {};
window.sounds = [];
window.born = Math.random();
const channel = new MessageChannel();
const waiting = [];
channel.port1.onmessage = () => {
  const now = performance.timeOrigin + performance.now();
  for (const key of waiting.splice(0)) window.painted[key] ??= now;
};
window.watchFor = (selector, name) => {
  const look = () => {
    let found = false;
    for (const part of document.querySelectorAll(selector)) {
      const key = part.getAttribute(name);
      if (key in window.painted || waiting.includes(key)) continue;
      waiting.push(key);
      found = true;
    }
    if (found) requestAnimationFrame(() => channel.port2.postMessage(0));
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  look();
};
document.addEventListener("sound", (event) => window.sounds.push(event.detail));
"""
"""`watchFor(selector, attribute)`: when each value of the attribute was painted first, in ms since 1970."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def chromium() -> Iterator[Browser]:
    """The distribution's browser, or Playwright's own where there is none."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"],
        )
        try:
            yield browser
        finally:
            browser.close()


def probed(browser: Browser, **options: Any) -> Page:
    """A page of its own context that knows when what was painted; `page.faults` are its console's errors."""
    page = browser.new_context(viewport={"width": 1366, "height": 768}, **options).new_page()
    page.add_init_script(PROBE)
    return page


def until(page: Page, expression: str, *, seconds: float = 30.0) -> None:
    """Until the expression is true. Not wait_for_function: that evaluates in the page, which our CSP forbids."""
    give_up = time.monotonic() + seconds
    while not page.evaluate(expression):
        if time.monotonic() > give_up:
            raise TimeoutError(f"still not: {expression}")
        page.wait_for_timeout(5)


class Proxy:
    """What stands before a server in a city: while the server is away it answers 503, as a balancer does."""

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self._upstream = upstream
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._ready.wait(5)

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up, down = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            with contextlib.suppress(OSError):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
            writer.close()
            return

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError):
                    while part := await source.read(65536):
                        sink.write(part)
                        await sink.drain()
            finally:
                sink.close()

        with contextlib.suppress(asyncio.CancelledError):  # the proxy ends with connections open
            await asyncio.gather(pump(reader, down), pump(up, writer))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(5)


class Central:
    """The real central, with a database of its own and no broker: its pages do not need one."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder, self.port = folder, free_port()
        self.config, self.log = folder / "central.yaml", folder / "central.log"
        settings = {
            "database": f"sqlite+aiosqlite:///{folder}/central.db", "data": str(folder), "port": self.port,
            "broker": f"mqtt://127.0.0.1:{free_port()}", "policy": str(ROOT / "configs/policies/directive-22.json"),
            **more,
        }  # fmt: skip
        self.config.write_text(json.dumps(settings))
        told = subprocess.run(
            self._command("setup", "--config"), check=True, cwd=ROOT, capture_output=True, text=True
        ).stdout
        self.admin = dict(line.split(": ") for line in told.splitlines())
        self._process: subprocess.Popen[bytes] | None = None

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "central", *words, str(self.config)]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command("serve"), cwd=ROOT, stderr=log, stdout=log)
        while True:
            if (ended := self._process.poll()) is not None:
                raise RuntimeError(f"central has ended ({ended}): {self.log.read_text(errors='replace')[-2000:]}")
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/health/live", timeout=5, trust_env=False).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.02)

    def kill(self) -> int | None:
        """How it had ended by itself, if it had."""
        if self._process is None:
            return None
        ended = self._process.poll()
        self._process.kill()
        self._process.wait()
        self._process = None
        return ended

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, seconds: float) -> int:
        """Ask it to end. Raises TimeoutExpired."""
        assert self._process is not None
        process, self._process = self._process, None
        process.terminate()
        try:
            return process.wait(seconds)
        finally:
            process.kill()
            process.wait()

    def raise_alerts(self, *names: str) -> None:
        row = (
            "INSERT INTO alert (dedupe, kind, site, edge, camera, place, first_at, last_at, count, level, certainty,"
            " evidence, late, state, raised_at, box, person) VALUES (?, 'breach', 'q-003', 'edge-01', ?, 'yard',"
            " datetime('now'), datetime('now'), 1, 4, 'left', '', 0, 'open', datetime('now'), '', '')"
        )
        with closing(sqlite3.connect(self.folder / "central.db", timeout=10)) as connection, connection:
            connection.executemany(row, [(name, name) for name in names])

    def supervisor(self, browser: Browser, port: int) -> Page:
        return self.log_in(probed(browser), f"http://127.0.0.1:{port}")

    def log_in(self, page: Page, url: str) -> Page:
        page.goto(f"{url}/login?next=/supervisor")
        page.fill("[name=name]", self.admin["name"])
        page.fill("[name=password]", self.admin["password"])
        page.click("main button")
        page.wait_for_url("**/supervisor")
        page.wait_for_selector("#alerts")
        return page


class _Officer:
    """The real screen, driven by lines: `show SCAN OUTCOME`, `many COUNT RATE`, `load RATE SECONDS`."""

    def __init__(self) -> None:
        self.screen = Screen("phap-van", [GATE, CROWD])

    def live(self) -> None:
        now = datetime.now(UTC)
        for camera in (GATE, CROWD):
            self.screen.health(
                camera,
                CameraHealth(state="live", reason="frames", watch="checkpoint", mode="armed", since=now, fps=15.0),
            )

    def show(self, scan: str, outcome: Outcome, camera: str = GATE) -> float:
        """When it was told, in ms since 1970."""
        told_at = time.time() * 1000
        self.screen.show(
            Showing(
                scan=scan, camera=camera, lane="2", outcome=outcome, reasons=REASONS[outcome], by="central",
                holder="N. V. A. ···123", kind="cccd", at=datetime.now(UTC),
            )
        )  # fmt: skip
        return told_at

    def many(self, prefix: str, count: int, rate: float, camera: str = GATE) -> None:
        begun = time.monotonic()
        for number in range(count):
            self.show(f"{prefix}{number}", OUTCOMES[number % 3], camera)
            time.sleep(max(0.0, begun + (number + 1) / rate - time.monotonic()))

    def obey(self, line: str) -> Any:
        match line.split():
            case ["show", scan, outcome]:
                self.live()
                return self.show(scan, Outcome(outcome))
            case ["many", count, rate]:
                self.many("many-", int(count), float(rate))
            case ["load", rate, seconds]:
                amount = int(float(rate) * float(seconds))
                words = (f"load-{time.monotonic()}-", amount, float(rate), CROWD)
                threading.Thread(target=self.many, args=words, daemon=True).start()
            case _:
                return f"not understood: {line}"
        return "done"


def main() -> None:
    officer = _Officer()
    officer.live()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
    server = uvicorn.Server(uvicorn.Config(officer.screen.app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(officer.obey(line.strip())), flush=True)


if __name__ == "__main__":
    main()
