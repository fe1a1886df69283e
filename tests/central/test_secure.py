"""The desk's own listener, in a real browser: TLS, HTTP/2, and as many pages as a desk keeps open."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from central import secure, settings
from central.authority import Authority
from models.document import BadDocument
from scripts.city.screens import Central, chromium, free_port, probed, until

MANY = 12
"""Twice as many as a browser opens to one host over HTTP/1.1."""


@pytest.fixture
def desk(tmp_path: Path) -> settings.Desk:
    Authority(tmp_path / "pki").issue("desk", tmp_path / "pki", ["localhost", "127.0.0.1"])
    return settings.Desk(
        host="127.0.0.1",
        port=free_port(),
        certificate=str(tmp_path / "pki/desk.pem"),
        key=str(tmp_path / "pki/desk.key"),
    )


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.mark.flow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="NO BROWSER: install chromium")
def test_twelve_pages_of_one_browser_live_at_once_and_a_stop_does_not_wait_for_them(
    tmp_path: Path, desk: settings.Desk, browser: Browser
) -> None:
    central = Central(tmp_path, desk=desk.model_dump())
    central.start()
    try:
        url = f"https://localhost:{desk.port}"
        first = central.log_in(probed(browser, ignore_https_errors=True), url)
        pages = [first, *(first.context.new_page() for _ in range(MANY - 1))]
        for page in pages[1:]:
            page.goto(f"{url}/supervisor")
        assert first.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        assert {cookie["name"] for cookie in first.context.cookies()} == {"__Host-cua-o"}
        central.raise_alerts("rings-everywhere")
        for page in pages:
            until(page, "document.querySelectorAll('#alerts .open').length === 1")
        assert central.stop(20) == 0
    finally:
        central.kill()


def test_a_certificate_that_does_not_serve_is_said_with_the_remedy(tmp_path: Path, desk: settings.Desk) -> None:
    Path(desk.key).write_text("no key")
    with pytest.raises(BadDocument, match=r"desk: .*desk\.key.*scripts/pki server desk"):
        secure.Desk(None, desk, tmp_path)


def test_a_port_that_is_taken_is_said(tmp_path: Path, desk: settings.Desk) -> None:
    taken = desk.model_copy(update={"port": 1, "host": "192.0.2.1"})
    with pytest.raises(BadDocument, match=r"desk: 192\.0\.2\.1:1: "):
        secure.Desk(None, taken, tmp_path)
