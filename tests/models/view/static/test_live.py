"""The page's own script in a real browser, against a server that is killed, frozen and started again."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from scripts.city.screens import Proxy, chromium, free_port, probed, until

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(
        shutil.which("chromium") is None, reason="NO BROWSER: install chromium, else nobody has tried the page's script"
    ),
]
ROOT = Path(__file__).resolve().parents[4]
PATIENCE_MS = 30_000


@dataclass
class Board:
    file: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def say(self, *rows: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text("\n".join(rows))
        fresh.replace(self.file)  # never read half-written

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.models.view.static.board", str(self.port), str(self.file)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/me", timeout=0.2, trust_env=False)
            except httpx.ConnectError:
                time.sleep(0.05)
            except httpx.ReadTimeout:  # /me is the endless stream here
                return
            else:
                return
        pytest.fail("the board does not listen")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path / "rows")
    made.say("one", "two")
    made.start()
    yield made
    made.kill()


@pytest.mark.parametrize("behind_a_proxy", [False, True], ids=["direct", "behind a proxy"])
def test_over_a_restart_nothing_is_lost_no_word_and_no_focus_and_the_alarm_rings_from_the_state(
    board: Board, behind_a_proxy: bool
) -> None:
    proxy = Proxy(board.port) if behind_a_proxy else None
    with chromium() as browser:
        page = probed(browser)
        page.goto(f"http://127.0.0.1:{proxy.port if proxy else board.port}/")
        page.fill('[name="note-two"]', "half a senten")
        page.wait_for_selector("body:not(.down)")
        born = page.evaluate("window.born")
        board.kill()
        page.wait_for_selector("body.down .banner", state="visible", timeout=PATIENCE_MS)
        board.say("zero", "one", "two", "three")
        page.evaluate("window.sounds.length = 0")
        board.start()
        page.wait_for_selector('[data-key="three"]', timeout=PATIENCE_MS)
        page.wait_for_selector('[data-key="zero"]')
        until(page, "window.sounds.includes('alarm')")
        page.keyboard.type("ce")
        assert page.evaluate("document.activeElement.name") == "note-two"
        assert page.input_value('[name="note-two"]') == "half a sentence"
        assert page.evaluate("window.born") == born, "the page was not loaded anew"
        assert page.is_hidden(".banner")
    if proxy:
        proxy.stop()


def test_a_frozen_server_is_seen_and_a_thawed_one_too(board: Board) -> None:
    with chromium() as browser:
        page = probed(browser)
        page.goto(f"http://127.0.0.1:{board.port}/")
        page.wait_for_selector('[data-key="one"]')
        board.signal(signal.SIGSTOP)
        page.wait_for_selector("body.down .banner", state="visible", timeout=PATIENCE_MS)
        board.say("one", "two", "raised-while-frozen")
        board.signal(signal.SIGCONT)
        page.wait_for_selector('[data-key="raised-while-frozen"]', timeout=PATIENCE_MS)
        page.wait_for_selector("body:not(.down)")


def test_a_letter_acts_on_the_focused_row_alone_and_never_in_a_note(board: Board) -> None:
    with chromium() as browser:
        page = probed(browser)
        page.goto(f"http://127.0.0.1:{board.port}/")
        page.evaluate(
            "window.taken = [];"
            "addEventListener('click', (e) => e.target.dataset.takes && taken.push(e.target.dataset.takes))"
        )
        page.focus('[name="note-one"]')
        page.keyboard.type("a")
        assert page.evaluate("taken") == []
        page.focus('[data-key="two"]')
        page.keyboard.press("a")
        assert page.evaluate("taken") == ["two"]
        page.keyboard.press("j")
        page.keyboard.press("a")
        assert page.evaluate("taken") == ["two", "one"], "after the last comes the first"
        page.keyboard.press("k")
        page.evaluate("taken.pop()")
        board.say("zero", "two")  # the rows move, the focus stays
        page.wait_for_selector('[data-key="zero"]')
        page.keyboard.press("a")
        assert page.evaluate("taken") == ["two", "two"]
        board.say("zero")  # the focused row is gone: the key acts on nothing
        page.wait_for_selector('[data-key="two"]', state="detached")
        page.keyboard.press("a")
        assert page.evaluate("taken") == ["two", "two"]


def test_who_has_lost_the_right_is_led_to_the_log_in_and_comes_back_to_the_page(board: Board) -> None:
    with chromium() as browser:
        page = probed(browser)
        page.goto(f"http://127.0.0.1:{board.port}/")
        page.wait_for_selector('[data-key="one"]')
        board.file.with_suffix(".locked").touch()
        board.kill()
        page.wait_for_selector("body.down", timeout=PATIENCE_MS)
        board.start()
        page.wait_for_url("**/login?next=%2F", timeout=PATIENCE_MS)
