"""A camera is tried, added, drawn on and taken away from central's pages, while another is not disturbed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from scripts.city.rtsp import RtspServer
from scripts.city.screens import chromium, probed
from tests.clips import yard
from tests.flow.street import EDGE, ROOT, SITE, Street, until
from tests.looks import unfit, violations

pytestmark = [pytest.mark.flow, pytest.mark.service, pytest.mark.timeout(600)]
HERE = f"/cameras/{SITE}/{EDGE}"
LANE = {"id": "lane", "kind": "lane", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]}


@pytest.fixture
def locked(clip: Path) -> Iterator[RtspServer]:
    """A second camera, which wants a password."""
    server = RtspServer(user="guard", password="s3cr3t")
    server.add("yard", clip)
    server.start()
    yield server
    server.stop()


def was(visitor: httpx.Client) -> str:
    """The hash of the box's file, as its page has it."""
    page = visitor.get(HERE)
    found = re.search(r'name="was" value="([0-9a-f]{64})"', page.text)
    assert found is not None, page.text
    return found[1]


def gauge(street: Street, name: str, camera: str) -> float:
    told = httpx.get(f"{street.screen_url}metrics", timeout=10).text
    found = re.search(rf'^cuao_camera_{name}\{{camera="{camera}"\}} (\S+)$', told, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_cameras_and_zones_change_from_central_while_another_runs_on(
    street: Street, camera: RtspServer, locked: RtspServer
) -> None:
    street.found_central()
    street.found_edge({"cam-1": camera.url("gate")})
    until("the first camera is seen through", lambda: gauge(street, "frames_total", "cam-1") > 5)
    source = locked.url("yard").replace("//", "//guard:s3cr3t@")
    new: dict[str, Any] = {"id": "cam-2", "source": source, "watch": "checkpoint", "mode": "trial"}
    with street.visitor() as visitor:
        visitor.timeout = httpx.Timeout(60)
        until("the box answers", lambda: visitor.get(HERE).status_code == 200)

        tried = visitor.post(f"{HERE}/probe?lang=en", data=new | {"lens_degrees": 30, "distance_m": 0.5}).json()
        assert "h264 640x480" in tried["lines"][0]
        assert any("take the large stream" in one for one in tried["advice"])
        wrong = new | {"source": source.replace("s3cr3t", "wr0ng")}
        assert "refuses the user or the password" in visitor.post(f"{HERE}/probe?lang=en", data=wrong).text

        before = was(visitor)
        added = visitor.post(HERE, data=new | {"was": before})
        assert added.status_code == 200, added.text
        until("the new camera is seen through", lambda: gauge(street, "frames_total", "cam-2") > 5)
        assert httpx.get(f"{street.screen_url}?camera=cam-2", timeout=10).status_code == 200
        assert visitor.post(HERE, data=new | {"was": before}).status_code == 409  # somebody was faster

        drawn = visitor.post(f"{HERE}/cam-2/zones", json={"was": was(visitor), "zones": [LANE]})
        assert drawn.status_code == 200, drawn.text
        crossed = LANE | {"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}
        refused = visitor.post(f"{HERE}/cam-2/zones?lang=en", json={"was": was(visitor), "zones": [crossed]})
        assert refused.status_code == 422
        assert "cross; draw the corners in order" in refused.json()["detail"]
        until("pictures come on", lambda: gauge(street, "fps", "cam-2") > 0)
        assert gauge(street, "connects_total", "cam-2") == 1

        still = visitor.get(f"{HERE}/cam-2/still").json()
        assert still["jpeg"].startswith("/9j/")
        shown = "".join(visitor.get(path).text for path in ("/cameras", HERE, f"{HERE}/cam-2", "/"))
        assert "cam-2" in shown

        gone = visitor.post(f"{HERE}/cam-2/remove", data={"was": was(visitor)})
        assert gone.status_code == 200, gone.text
        assert httpx.get(f"{street.screen_url}?camera=cam-2", timeout=10).status_code == 404
        until("the first camera's count is fresh", lambda: gauge(street, "fps", "cam-1") > 0)
        assert gauge(street, "connects_total", "cam-1") == 1
    assert not street.query("SELECT sealed FROM box_file WHERE sealed LIKE '%s3cr3t%' OR sealed LIKE '%guard%'")
    said = shown + str(tried) + street.logs()
    assert not [word for word in ("s3cr3t", "wr0ng", "guard:") if word in said]


@pytest.fixture
def desk(street: Street, camera: RtspServer) -> Iterator[Page]:
    """The admin's browser, on the camera's page."""
    street.found_central()
    street.found_edge({"cam-1": camera.url("gate")})
    until("there is a picture", lambda: gauge(street, "frames_total", "cam-1") > 15)
    with chromium() as browser:
        page = probed(browser)
        page.set_viewport_size({"width": 1366, "height": 768})
        page.goto(f"{street.central_url}/login?next=/cameras&lang=en")
        page.fill("[name=name]", street.admin["name"])
        page.fill("[name=password]", street.admin["password"])
        page.click("main button")
        page.wait_for_url("**/cameras")
        yield page


def _counts(street: Street, desk: Page, folder: Path) -> None:
    """Whoever walks over another camera's yard is counted in the zone that is drawn there."""
    server = RtspServer()
    server.add("yard", yard(folder / "yard.mp4"))
    server.start()
    with street.visitor() as visitor:
        visitor.timeout = httpx.Timeout(60)
        told = {
            "id": "yard",
            "source": server.url("yard"),
            "watch": "quarantine",
            "mode": "trial",
            "detector": "motion",
            "near": 120,
        }
        added = visitor.post(HERE, data=told | {"was": was(visitor)})
        assert added.status_code == 200, added.text
        whole = {"id": "all", "kind": "stay-inside", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}
        drawn = visitor.post(f"{HERE}/yard/zones", json={"was": was(visitor), "zones": [whole]})
        assert drawn.status_code == 200, drawn.text
    desk.goto(f"{street.central_url}{HERE}/yard?lang=en")
    fresh, count = desk.get_by_role("button", name="New picture"), desk.locator("[data-people]")
    somebody = desk.get_by_text("1 in the zone now")
    for _ in range(120):
        fresh.click()
        desk.wait_for_timeout(250)
        if somebody.is_visible():
            break
    server.stop()
    assert count.text_content() == "1 in the zone now"
    assert desk.locator(".body").count() == 1


def test_a_zone_is_drawn_on_the_picture_and_kept_by_the_box(street: Street, desk: Page, tmp_path: Path) -> None:
    for path in ("/cameras", HERE, f"{HERE}/cam-1"):
        for lang in ("vi", "en"):
            desk.goto(f"{street.central_url}{path}?lang={lang}")
            desk.wait_for_selector("main h1")
            assert unfit(desk) == [], (path, lang)
            assert violations(desk) == [], (path, lang)
    sheet = desk.locator(".sheet")
    expect(sheet.locator("image[href^=data]")).to_be_attached(timeout=20_000)
    desk.get_by_role("button", name="Draw a new zone").click()
    area = sheet.bounding_box()
    assert area is not None
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.3, 0.9)):
        desk.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])
    desk.keyboard.press("Enter")
    desk.get_by_role("button", name="Undo").click()
    expect(desk.locator(".zones li")).to_have_count(0)
    desk.get_by_role("button", name="Draw a new zone").click()
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8)):
        desk.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])
    desk.keyboard.press("Enter")
    desk.locator(".zones li [name=id]").fill("lane-a")
    desk.locator(".zones li [name=kind]").select_option("lane")
    desk.get_by_role("button", name="Save").first.click()
    expect(desk.get_by_text("Saved, and in force")).to_be_visible(timeout=30_000)
    pictures = ROOT / ".cache" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    desk.screenshot(path=pictures / "cameras-editor.png", full_page=True)
    kept = (street.folder / "edge.yaml").read_text()
    assert "lane-a" in kept
    assert re.search(r"- 0\.2\d*\n", kept)
    desk.goto(f"{street.central_url}{HERE}/cam-1/look?lang=en")
    desk.wait_for_selector(".look img[src*='?t=']")  # came, and was decoded before it was shown
    expect(desk.locator(".look .gone")).to_be_hidden()
    assert violations(desk) == []
    desk.screenshot(path=pictures / "camera-look.png")
    desk.goto(f"{street.central_url}{HERE}/no-such-camera/look?lang=en")
    expect(desk.locator(".look .gone")).to_be_visible(timeout=20_000)
    desk.goto(f"{street.central_url}/cameras?lang=en")
    desk.screenshot(path=pictures / "cameras.png", full_page=True)
    _counts(street, desk, tmp_path)
