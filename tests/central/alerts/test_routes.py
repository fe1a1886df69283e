"""The supervisor's desk and the second screen, in a real browser."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from central.evidence import Evidence
from central.keys import load as load_keys
from central.registry.rules import Row
from central.registry.service import take_rows
from central.registry.tables import fact
from models.wire.events import ZoneBreached, join
from scripts.city.screens import Central, chromium, until
from tests.central.city import City
from tests.looks import unfit, violations

pytestmark = [
    pytest.mark.flow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="NO BROWSER: install chromium"),
]
T = TypeVar("T")
NUMBER = "001200000001"
PICTURES = Path(__file__).resolve().parents[3] / ".cache" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def beside(step: Callable[[], T]) -> T:
    """In a thread of its own: Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(step).result()


class Site:
    """A central with one resident, that hears of breaches, each with its picture."""

    def __init__(self, folder: Path) -> None:
        self.central = Central(folder, second_screen_seconds=2.0, out_seconds=4.0)
        root = Path(__file__).resolve().parents[3]
        self.city = City(f"sqlite+aiosqlite:///{folder}/central.db", load_keys(folder), root)
        self.evidence = Evidence(folder / "evidence")
        row = Row(ids=(("cccd", NUMBER),), name="NGUYEN VAN AN", birth="1980-01-01", sex="", ward="", facts=())
        now = datetime.now(UTC)
        beside(lambda: self.city.run(lambda engine: take_rows(engine, self.city.keys, {2: row}, "test", now)))

    def leave(self, incident: str, camera: str) -> None:
        picture = np.full((360, 640, 3), 90, np.uint8)
        cv2.rectangle(picture, (300, 120), (340, 240), (40, 60, 200), -1)
        jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
        manifest = json.dumps({"snapshot": self.put(jpeg), "event": incident}).encode()
        breach = ZoneBreached(
            phase="open", incident=incident, zone="yard", track=1, box=(0.4, 0.3, 0.07, 0.34), foot=(0.5, 0.66),
            left_at=1.0, reported_at=2.0, certainty="left", beyond=0.6, shown=(0.465, 0.32, 0.07, 0.36),
        )  # fmt: skip
        now = datetime.now(UTC)
        event = self.city.event(breach, camera=camera, time=now, dataref=self.put(manifest))
        beside(lambda: self.city.take(join([event]), now=now))

    def put(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        beside(lambda: asyncio.run(self.evidence.put(name, chunks())))
        return name


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.central.start()
    yield made
    made.central.kill()


def shot(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def test_an_alert_is_taken_resolved_and_told_on_by_keys(browser: Browser, site: Site) -> None:
    home = f"http://127.0.0.1:{site.central.port}"
    page = site.central.supervisor(browser, site.central.port)
    other = page.context.new_page()
    other.goto(page.url)
    site.leave("one", "cam-1")
    page.wait_for_selector(".alert.open")
    until(page, "document.querySelector('.proof img').naturalWidth > 0")
    assert page.locator(".proof rect").get_attribute("x") == "0.465"
    other.wait_for_selector(".alert.open")
    page.locator(".alert.open").focus()
    page.keyboard.press("r")
    page.wait_for_selector("dialog[open]")
    assert "yard" in page.locator("dialog[open] h2").inner_text()
    page.locator("dialog[open] [value=false_alarm]").check()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("dialog[open] output")
    assert page.locator("dialog[open] output").inner_text() == "Chọn vì sao báo giả"
    shot(page, "supervisor-resolve")
    assert violations(page) == []
    page.locator("dialog[open] [value=named]").check()
    page.fill("dialog[open] [name=number]", NUMBER)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".alert.resolved")
    assert page.locator("dialog[open]").count() == 0
    (line,) = [row for row in beside(lambda: site.city.rows(fact)) if row["kind"] == "order_broken"]
    assert line["value"] == "true"
    # on the other screen the row has gone to the resolved ones as well; whoever is too late is told who was quicker
    other.wait_for_selector(".alert.resolved")
    number = other.locator(".alert.resolved").get_attribute("data-key")
    answer = page.request.post(
        f"{home}/alerts/{number}/resolve", form={"outcome": "returned"}, headers={"origin": home}
    )
    assert (answer.status, answer.text()) == (409, "admin đã kết thúc vụ này")
    page.goto(f"{home}/alerts/{number}")
    assert "Biết là ai" in page.locator("main").inner_text()
    shot(page, "alert-story")
    assert [*unfit(page), *violations(page)] == []
    page.goto(f"{home}/alerts?site=cp-014")
    assert page.locator(".alert.resolved").count() == 1
    assert [*unfit(page), *violations(page)] == []


def test_what_nobody_takes_rings_louder_on_a_second_screen(browser: Browser, site: Site) -> None:
    page = site.central.supervisor(browser, site.central.port)
    page.goto(page.url.replace("/supervisor", "/duty"))
    page.wait_for_selector("#duty .empty")
    site.leave("one", "cam-1")
    page.wait_for_selector(".alert.open.urgent")
    until(page, "window.sounds.includes('urgent')")
    until(page, "document.querySelector('.alert').innerText.includes('báo ra ngoài lúc')")
    shot(page, "duty")
    assert [*unfit(page), *violations(page)] == []
    page.locator(".alert.open").focus()
    page.keyboard.press("a")
    page.wait_for_selector("#duty .empty:not([hidden])")
