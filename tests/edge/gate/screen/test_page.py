"""The officer's page: its states by a clock of ours, its HTTP by a client, its look in a real browser."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import get_args

import cv2
import httpx
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Page, sync_playwright

from edge.gate.screen import Entry, Override, Screen, Showing
from edge.gate.screen.page import PARTY_ROWS, reason_lines
from edge.gate.screen.showing import (
    HEALTH_SECONDS,
    MOST_PARTY,
    PASS_SECONDS,
    READING_SECONDS,
    ROWS,
    TOLD_SECONDS,
    Panel,
    Tally,
)
from models.aim import Advice
from models.passes.outcome import Outcome
from models.passes.reasons import REASONS
from models.view.page import LANGS, catalogue
from models.wire.events import CameraHealth
from tests.looks import unfit, violations

AT = datetime(2021, 9, 21, 0, 41, 26, tzinfo=UTC)
LIVE = CameraHealth(state="live", reason="frames", watch="checkpoint", mode="armed", since=AT, fps=14.6)
STALLED = CameraHealth(state="stalled", reason="no frames", watch="checkpoint", mode="armed", since=AT)
STOP = Showing(
    scan="scan-1",
    camera="gate-1",
    lane="2",
    outcome=Outcome.FAIL,
    reasons=("f0",),
    by="central",
    holder="N. V. A. ···123",
    kind="cccd",
    at=AT,
    crop=b"\xff\xd8crop",
)


@contextmanager
def serving(screen: Screen) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(screen.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        screen.close()
        server.should_exit = True
        thread.join(timeout=10)
        assert not thread.is_alive()


@contextmanager
def visiting(screen: Screen) -> Iterator[httpx.Client]:
    with serving(screen) as url, httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        yield client


def test_a_pass_leaves_by_itself_and_a_stop_stays() -> None:
    passed = Panel(was_live=True).show(replace(STOP, outcome=Outcome.PASS), now=10.0)
    assert passed.tick(10.0 + PASS_SECONDS - 0.1).face == "verdict"
    assert passed.tick(10.0 + PASS_SECONDS).face == "ready"
    assert Panel().show(STOP, now=10.0).tick(10_000.0).face == "verdict"


def test_an_answer_gives_way_to_the_officer_and_to_the_next_answer_only() -> None:
    panel = Panel(was_live=True).show(STOP, now=0.0)
    assert panel.reading(1.0).face == "verdict"
    assert panel.dismiss("another scan").face == "verdict"
    assert panel.dismiss("scan-1").face == "ready"
    newer = panel.show(replace(STOP, scan="scan-2"), now=1.0)
    assert newer.showing is not None
    assert newer.showing.scan == "scan-2"


def test_a_code_that_is_never_read_stops_being_read() -> None:
    panel = Panel(was_live=True).reading(5.0)
    assert (panel.face, panel.advice) == ("reading", None)
    helped = panel.reading(5.5, "closer")
    assert (helped.advice, helped.version, helped.turn) == ("closer", panel.version + 1, panel.turn + 1)
    assert helped.tick(5.5 + READING_SECONDS - 0.1).face == "reading", "as long as it is seen"
    assert panel.reading(6.0).version == panel.version
    assert panel.reading(6.0).tick(5.0 + READING_SECONDS).face == "reading"
    assert panel.tick(5.0 + READING_SECONDS).face == "ready"


def test_the_holder_learns_how_to_hold_the_code_and_that_it_was_read_and_never_the_answer() -> None:
    panel = Panel(was_live=True)
    assert panel.holder_face == "ready"
    assert panel.reading(1.0, "still").holder_face == "reading"
    stopped = panel.reading(1.0, "still").show(STOP, 2.0)
    assert (stopped.holder_face, stopped.advice) == ("told", None)
    assert stopped.tick(2.0 + TOLD_SECONDS).holder_face == "ready", "the officer's answer stands, the lane goes on"
    following = stopped.reading(3.0, "glare")
    assert (following.face, following.holder_face, following.advice) == ("verdict", "reading", "glare")
    assert (following.version, following.turn) == (stopped.version, stopped.turn + 1), "the answer is not painted again"
    assert following.dismiss("scan-1").face == "reading"


CAR = replace(STOP, stop="car-1", outcome=Outcome.PASS, reasons=(), scan="driver", holder="N. V. A.")


def test_a_vehicle_has_one_answer_the_worst_of_its_people_however_they_come() -> None:
    stopped = replace(CAR, scan="back seat", outcome=Outcome.FAIL)
    checked = replace(CAR, scan="child", outcome=Outcome.CHECK)
    for order in permutations((CAR, stopped, checked)):
        panel = Panel(was_live=True)
        for number, one in enumerate(order):
            panel = panel.show(one, float(number))
        assert panel.showing == stopped
        assert {one.scan for one in panel.party} == {"driver", "back seat", "child"}
    other = panel.show(replace(CAR, stop="car-2"), 9.0)
    assert other.showing is not None
    assert (other.showing.outcome, len(other.party)) == (Outcome.PASS, 1), "the next vehicle is another one"


def test_a_vehicle_stays_one_when_its_answer_has_left_and_keeps_nobodys_picture_or_name() -> None:
    panel = Panel(was_live=True).show(CAR, 0.0).tick(PASS_SECONDS)
    assert panel.showing is None
    assert [(one.crop, one.holder) for one in panel.party] == [(None, None)]
    again = panel.show(replace(CAR, scan="late riser", outcome=Outcome.CHECK), 30.0)
    assert [one.outcome for one in again.party] == [Outcome.PASS, Outcome.CHECK]
    assert again.showing is not None
    assert again.showing.outcome is Outcome.CHECK


def test_an_officer_who_overrules_one_of_a_vehicle_sees_the_next_worst() -> None:
    panel = Panel(was_live=True).show(CAR, 0.0)
    panel = panel.show(replace(CAR, scan="one", outcome=Outcome.FAIL), 1.0)
    panel = panel.show(replace(CAR, scan="two", outcome=Outcome.CHECK), 2.0)
    panel = panel.overrule("one", Outcome.PASS)
    assert panel.showing is not None
    assert panel.showing.scan == "two"
    assert panel.overrule("two", Outcome.PASS).face == "ready"
    assert Panel(was_live=True).show(STOP, 0.0).overrule("scan-1", Outcome.PASS).face == "ready"


def test_a_bus_keeps_whoever_may_not_pass() -> None:
    panel = Panel().show(replace(CAR, scan="first", outcome=Outcome.FAIL), 0.0)
    for number in range(MOST_PARTY + 10):
        panel = panel.show(replace(CAR, scan=str(number)), float(number))
    assert len(panel.party) == MOST_PARTY
    assert panel.showing is not None
    assert panel.showing.scan == "first"


def test_a_camera_is_starting_then_ready_then_lost_when_it_stalls_or_says_nothing() -> None:
    opening = Panel().hear(CameraHealth(state="connecting", reason="", watch="checkpoint", mode="armed", since=AT), 0.0)
    assert opening.face == "starting"
    live = opening.hear(LIVE, 1.0)
    assert live.face == "ready"
    assert live.hear(LIVE, 2.0).version == live.version
    assert live.hear(STALLED, 2.0).face == "lost"
    assert live.tick(1.0 + HEALTH_SECONDS).face == "lost"
    assert live.tick(1.0 + HEALTH_SECONDS).hear(LIVE, 7.0).face == "ready"
    assert live.show(STOP, 2.0).hear(STALLED, 2.0).face == "verdict"


def test_a_scan_is_counted_once_however_often_it_is_shown_or_answered() -> None:
    tally = Tally().add(replace(STOP, outcome=Outcome.CHECK), "21/09")
    tally = tally.add(STOP, "21/09").add(replace(STOP, repeat=1), "21/09")
    assert tally.counts == (0, 1, 0)
    assert [(row.outcome, row.repeat) for row in tally.rows] == [(Outcome.FAIL, 1)]


def test_the_list_keeps_its_last_rows_and_a_new_day_begins_empty() -> None:
    tally = Tally()
    for number in range(ROWS + 3):
        tally = tally.add(replace(STOP, scan=str(number)), "21/09")
    assert len(tally.rows) == ROWS
    assert tally.rows[0].scan == str(ROWS + 2)
    assert tally.counts == (0, ROWS + 3, 0)
    assert tally.add(replace(STOP, scan="new"), "22/09").counts == (0, 1, 0)


@pytest.mark.parametrize("lang", LANGS)
def test_every_reason_has_its_words_and_a_medical_one_only_its_number(lang: str) -> None:
    for key, known in REASONS.items():
        assert f"reason.{key}" in catalogue()[lang], key
        lines = reason_lines(lang, ("unknown", key))
        if known.medical:
            assert len(lines) == 1
            assert str(known.code) in lines[0]
            assert key.upper() not in lines[0].upper()
    assert reason_lines(lang, ("a reason of next year",)) == [catalogue()[lang]["reason.other"]]
    assert reason_lines(lang, ()) == []


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_page_shows_the_answer_with_its_scan_and_keeps_the_photo_only_so_long() -> None:
    screen = Screen("phap-van", ["gate-1"], wall=lambda: AT)
    screen.show(STOP)
    with visiting(screen) as client:
        html = client.get("/").text
        assert 'data-scan="scan-1" data-outcome="FAIL" data-by="central"' in html
        assert "DỪNG LẠI" in html
        assert "07:41:26" in html
        assert "f0" not in re.sub(r'data-(v|once|build)="[^"]*"|\?v=\w+', "", html).lower()
        assert client.get("/crop/scan-1").content == b"\xff\xd8crop"
        away = client.post("/dismiss/gate-1/scan-1", headers={"origin": "http://evil.test"})
        assert away.status_code == 403
        done = client.post("/dismiss/gate-1/scan-1", headers={"origin": str(client.base_url).rstrip("/")})
        assert done.status_code == 204
        assert client.get("/crop/scan-1").status_code == 404
        html = client.get("/").text
        assert "data-scan" not in html
        assert "···123" not in html


def test_an_officer_decides_otherwise_with_a_reason_and_a_pin() -> None:
    told: list[Override] = []

    def override(given: Override, pin: str) -> bool:
        if pin == "482913":
            told.append(given)
        return pin == "482913"

    screen = Screen("phap-van", ["gate-1"], on_override=override)
    screen.show(STOP)
    with visiting(screen) as client:
        form = {"reason": "xe cứu thương", "officer": "lan", "pin": "1", "outcome": "PASS"}
        ours = {"origin": str(client.base_url).rstrip("/")}
        assert client.post("/override/gate-1/scan-1", data=form).status_code == 403  # not from our page
        wrong = client.post("/override/gate-1/scan-1", data=form, headers=ours)
        assert (wrong.status_code, told) == (403, [])
        form["pin"] = "482913"
        assert client.post("/override/gate-1/another", data=form, headers=ours).status_code == 404
        assert client.post("/override/gate-1/scan-1", data=form | {"reason": " "}, headers=ours).status_code == 422
        assert client.post("/override/gate-1/scan-1", data=form, headers=ours).status_code == 204
        html = client.get("/").text
        assert 'data-state="verdict"' not in html
        assert "cán bộ: CHO QUA" in html, "the list says who may be asked about it"
        screen.show(replace(STOP, scan="scan-2"))
        late = client.post("/override/gate-1/scan-1", data=form | {"outcome": "FAIL"}, headers=ours)
        assert late.status_code == 204, "the next scan has come while the officer typed"
        assert 'data-scan="scan-2"' in client.get("/").text
    assert told == [
        Override("scan-1", "gate-1", Outcome.PASS, "xe cứu thương", "lan"),
        Override("scan-1", "gate-1", Outcome.FAIL, "xe cứu thương", "lan"),
    ]


def test_whoever_has_no_code_is_typed_in_or_shows_papers_and_joins_the_vehicle_on_the_screen() -> None:
    told: list[Entry] = []
    screen = Screen("phap-van", ["gate-1"], on_entry=told.append)
    with visiting(screen) as client:
        ours = {"origin": str(client.base_url).rstrip("/")}
        assert client.post("/type-in/gate-1", data={"number": "001085012345"}).status_code == 403
        wrong = client.post("/type-in/gate-1", data={"number": "12"}, headers=ours)
        assert (wrong.status_code, wrong.text) == (422, catalogue()["vi"]["gate.number_wrong"])
        given = {"number": "001 085 012345", "birth_year": "1985"}
        assert client.post("/type-in/gate-1", data=given, headers=ours).status_code == 204
        screen.show(replace(STOP, stop="car-1"))
        assert client.post("/paper/gate-1", headers=ours).status_code == 204
        assert client.post("/paper/yard-1", headers=ours).status_code == 404
    assert [(one.camera, one.code.kind, one.stop) for one in told] == [
        ("gate-1", "typed", None),
        ("gate-1", "paper", "car-1"),
    ]
    assert told[0].code.ids == (("cccd", "001085012345"),)


def test_a_medical_reason_is_said_to_the_officer_who_asks_and_that_is_written_down() -> None:
    looks: list[tuple[str, str]] = []
    screen = Screen("phap-van", ["gate-1"], on_detail=lambda camera, scan: looks.append((camera, scan)))
    screen.show(replace(STOP, reasons=("f0", "no_declaration")))
    words = catalogue()["vi"]
    with visiting(screen) as client:
        ours = {"origin": str(client.base_url).rstrip("/")}
        assert words["reason.f0"] not in client.get("/").text
        assert client.post("/detail/gate-1/scan-1").status_code == 403
        assert client.get("/detail/gate-1/scan-1").status_code == 405, "a look leaves a trace: no link does it"
        assert looks == []
        told = client.post("/detail/gate-1/scan-1", headers=ours)
        assert told.text == f"{words['reason.f0']} · {words['reason.no_declaration']}"
        assert client.post("/detail/gate-1/another", headers=ours).status_code == 404
    assert looks == [("gate-1", "scan-1")]


def test_a_pass_ends_by_the_clock_of_the_screen() -> None:
    hand = Hand()
    screen = Screen("phap-van", ["gate-1"], clock=hand)
    screen.show(replace(STOP, outcome=Outcome.PASS, by="edge"))
    with visiting(screen) as client:
        assert 'data-by="edge"' in client.get("/").text
        hand.now += PASS_SECONDS
        screen.tick()
        assert "data-scan" not in client.get("/").text


def test_only_its_own_cameras_are_on_the_page() -> None:
    screen = Screen("phap-van", ["gate-1"])
    screen.still("gate-1", b"\xff\xd8still", AT)
    screen.still("yard-1", b"\xff\xd8other", AT)
    screen.show(replace(STOP, camera="yard-1"))
    screen.health("yard-1", LIVE)
    screen.reading("yard-1")
    with visiting(screen) as client:
        assert client.get("/still/gate-1.jpg").content == b"\xff\xd8still"
        assert client.get("/still/yard-1.jpg").status_code == 404
        assert client.get("/?camera=yard-1").status_code == 404
        assert "data-scan" not in client.get("/").text


def test_an_unknown_kind_or_reason_is_painted_all_the_same() -> None:
    screen = Screen("phap-van", ["gate-1"])
    screen.show(replace(STOP, kind="next", reasons=("next",), outcome=Outcome.CHECK, holder=None, lane=None, crop=None))
    with visiting(screen) as client:
        assert catalogue()["vi"]["reason.other"] in client.get("/").text


CHROMIUM = shutil.which("chromium")
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="NO BROWSER: install chromium, else nobody has looked at the officer's page"
)


def looked_at(page: Page, picture: Path) -> None:
    page.screenshot(path=picture)
    assert unfit(page) == [], picture.stem
    assert violations(page) == [], picture.stem


@contextmanager
def browsing(url: str, lang: str) -> Iterator[Page]:
    """A page that keeps its sounds and fails on any fault in its console."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_context(viewport={"width": 1366, "height": 768}).new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.add_init_script(
            "window.sounds = []; document.addEventListener('sound', (event) => window.sounds.push(event.detail))"
        )
        page.goto(f"{url}/lang/{lang}")
        yield page
        # the browser's own line on an answer that refuses, or on none, is what a test may have asked for
        assert [fault for fault in faults if "Failed to load resource" not in fault] == []
        browser.close()


@in_a_browser
@pytest.mark.parametrize("lang", LANGS)
def test_in_a_real_browser_answers_are_painted_sounded_and_fit(lang: str, tmp_path: Path) -> None:
    screen = Screen("Pháp Vân", ["gate-1"])
    longest = max(
        (key for key in REASONS if not REASONS[key].medical), key=lambda key: len(reason_lines(lang, [key])[0])
    )
    with serving(screen) as url, browsing(url, lang) as page:
        screen.health("gate-1", LIVE)
        page.wait_for_selector("#panel[data-state=ready]")
        for number, (outcome, reasons) in enumerate(
            [(Outcome.PASS, ()), (Outcome.FAIL, ("f0",)), (Outcome.CHECK, (longest, longest, "unknown", "no_data"))]
        ):
            scan = f"scan-{number}"
            screen.reading("gate-1")
            screen.show(
                replace(STOP, scan=scan, outcome=outcome, reasons=reasons, crop=None, at=AT + timedelta(number))
            )
            page.wait_for_selector(f'#panel[data-scan="{scan}"][data-outcome="{outcome}"]')
            page.wait_for_selector(f'#recent li[data-key="{scan}"]')
            assert page.inner_text("#panel h1") == catalogue()[lang][f"outcome.{outcome}"]
            page.screenshot(path=tmp_path / f"{lang}-{outcome}.png")
            assert unfit(page) == [], outcome
            assert violations(page) == [], outcome
        screen.health("gate-1", LIVE)  # looking has taken longer than a camera may be silent
        screen.show(replace(STOP, scan="scan-2", outcome=Outcome.CHECK, repeat=1))
        page.wait_for_selector("#panel .count")
        page.keyboard.press("Enter")
        page.wait_for_selector("#panel[data-state=ready]")
        screen.close()  # the line ends: the old page must say so and show no answer
        page.wait_for_selector("body.down .banner", state="visible")
        assert page.is_hidden("#panel")
        sounds = [sound for sound in page.evaluate("window.sounds") if sound not in {"tick", "chime"}]
        assert sounds == ["pass", "fail", "check", "check"]


@in_a_browser
@pytest.mark.parametrize("lang", LANGS)
def test_an_officer_enters_by_keys_whoever_has_no_code(lang: str, tmp_path: Path) -> None:
    words = catalogue()[lang]
    entries: list[Entry] = []
    screen = Screen("Pháp Vân", ["gate-1"], clock=Hand(), on_entry=entries.append)
    screen.health("gate-1", LIVE)
    with serving(screen) as url, browsing(url, lang) as page:
        page.wait_for_selector("#panel[data-state=ready]")
        looked_at(page, tmp_path / f"{lang}-empty.png")
        page.keyboard.press("?")
        page.wait_for_selector("#keys[open]")
        looked_at(page, tmp_path / f"{lang}-keys.png")
        page.keyboard.press("Escape")

        page.keyboard.press("m")
        page.wait_for_selector("#type-in[open]")
        page.keyboard.type("12")
        page.keyboard.press("Enter")
        page.wait_for_selector("#type-in output")
        assert page.inner_text("#type-in output") == words["gate.number_wrong"]
        looked_at(page, tmp_path / f"{lang}-type-in.png")
        page.fill("#type-in [name=number]", "001085012345")
        page.keyboard.press("Enter")
        page.wait_for_selector("#type-in:not([open])", state="attached")
        page.keyboard.press("p")
        while len(entries) < 2:
            page.wait_for_timeout(20)
        assert [one.code.kind for one in entries] == ["typed", "paper"]


@in_a_browser
@pytest.mark.parametrize("lang", LANGS)
def test_an_officer_sees_details_and_decides_otherwise_by_keys(lang: str, tmp_path: Path) -> None:
    words = catalogue()[lang]
    overrides: list[Override] = []

    def override(told: Override, pin: str) -> bool:
        overrides.append(told)
        return pin == "482913"

    screen = Screen("Pháp Vân", ["gate-1"], clock=Hand(), on_override=override)
    screen.health("gate-1", LIVE)
    with serving(screen) as url, browsing(url, lang) as page:
        screen.show(replace(STOP, crop=None))
        page.wait_for_selector("#panel[data-outcome=FAIL]")
        page.keyboard.down(" ")
        page.wait_for_selector("#detail:not(:empty)")
        assert page.inner_text("#detail") == words["reason.f0"]
        looked_at(page, tmp_path / f"{lang}-detail.png")
        page.keyboard.up(" ")
        assert page.inner_text("#detail") == "", "nobody leaves it standing"

        page.keyboard.press("s")
        page.wait_for_selector("#sound[data-state=false]")
        page.keyboard.press("s")
        page.wait_for_selector("#sound[data-state=true]")

        asked = replace(STOP, scan="scan-2", outcome=Outcome.CHECK, reasons=("photo_id",), crop=None)
        screen.show(asked)
        page.wait_for_selector("#panel[data-scan=scan-2]")
        page.keyboard.press("o")
        page.wait_for_selector("#override[open]")
        assert page.input_value("#override [name=reason]") == words["gate.why_photo"], "the photo was what was asked"
        page.fill("#override [name=officer]", "lan")
        page.fill("#override [name=pin]", "1")
        page.click("#override [value=PASS]")
        page.wait_for_selector("#override output")
        assert page.inner_text("#override output") == words["gate.pin_wrong"]
        looked_at(page, tmp_path / f"{lang}-override.png")
        screen.show(replace(asked, repeat=1))
        page.wait_for_selector("#panel .count", state="attached")
        page.keyboard.press("Escape")
        page.keyboard.press("o")
        assert page.locator("#override output").count() == 0
        page.fill("#override [name=pin]", "482913")
        assert page.input_value("#override [name=officer]") == "lan", "what was typed is still there"
        page.click("#override [value=PASS]")
        page.wait_for_selector("#panel[data-state=ready]")
        assert words["outcome.PASS"] in page.inner_text('#recent li[data-key="scan-2"] small')
        looked_at(page, tmp_path / f"{lang}-overruled.png")
    assert [(one.scan, one.outcome) for one in overrides] == [("scan-2", Outcome.PASS)] * 2


@in_a_browser
@pytest.mark.parametrize("lang", LANGS)
def test_a_vehicles_people_stand_under_its_one_answer(lang: str, tmp_path: Path) -> None:
    screen = Screen("Pháp Vân", ["gate-1"], clock=Hand())
    screen.health("gate-1", LIVE)
    crop = cv2.imencode(".jpg", np.full((360, 640, 3), 90, np.uint8))[1].tobytes()
    with serving(screen) as url, browsing(url, lang) as page:
        outcomes = [Outcome.PASS, Outcome.CHECK, Outcome.FAIL, *([Outcome.PASS] * 6)]
        for number, outcome in enumerate(outcomes):
            reasons = () if outcome is Outcome.PASS else ("no_number", "declaration_expired", "no_immunity")[-number:]
            one = replace(CAR, scan=f"scan-{number}", outcome=outcome, reasons=reasons, crop=crop, at=AT)
            screen.show(
                replace(one, holder="NGUYỄN THỊ PHƯƠNG UYÊN ···123" if outcome is Outcome.CHECK else "N. V. A.")
            )
            worst = max(outcomes[: number + 1], key=lambda one: one.severity)
            page.wait_for_selector(f'#recent li[data-key="scan-{number}"]')
            page.wait_for_selector(f"#panel[data-outcome={worst}]")
            if number in {1, 8}:
                assert page.locator(".party li").count() == min(number + 1, PARTY_ROWS)
                page.screenshot(path=tmp_path / f"{lang}-{number}.png")
                assert unfit(page) == [], number
                assert violations(page) == [], number
        assert page.locator(".party li").first.get_attribute("data-outcome") == "FAIL"
        assert page.evaluate("window.sounds")[-1] == "fail", "the vehicle still stops, whoever came last"


@in_a_browser
@pytest.mark.parametrize("lang", LANGS)
def test_who_holds_a_code_that_cannot_be_read_is_helped_on_both_screens(lang: str, tmp_path: Path) -> None:
    words = catalogue()[lang]
    screen = Screen("Pháp Vân", ["gate-1"], clock=Hand())  # looking takes longer than a code may be out of sight
    screen.still("gate-1", cv2.imencode(".jpg", np.full((360, 640, 3), 90, np.uint8))[1].tobytes(), AT)
    with serving(screen) as url, browsing(url, lang) as page:
        holder = page.context.new_page()
        holder.goto(f"{url}/holder")
        for advice in (None, *get_args(Advice)):
            screen.reading("gate-1", advice)
            key = f"advice.{advice}" if advice else "gate.reading"
            for shown, part in ((page, "panel"), (holder, "holder")):
                shown.wait_for_selector(f'#{part}[data-state=reading][data-advice="{advice or ""}"]')
                assert shown.inner_text(f"#{part} h1") == words[key]
                shown.screenshot(path=tmp_path / f"{lang}-{part}-{advice}.png")
                assert unfit(shown) == [], (part, advice)
        assert violations(page) == violations(holder) == []
        screen.show(replace(STOP, crop=None))
        holder.wait_for_selector("#holder[data-state=told]")
        assert "DỪNG" not in holder.inner_text("body")
        assert "···123" not in holder.inner_text("body")
        assert unfit(holder) == []
        screen.reading("gate-1", "glare")
        page.wait_for_selector("#next:not(:empty)")
        assert words["advice.glare"] in page.inner_text("#next")
        assert page.inner_text("#panel h1") == words["outcome.FAIL"]
        assert unfit(page) + violations(page) == []
        assert page.evaluate("window.sounds").count("tick") == 1, "an advice that changes is no new code"
        assert page.evaluate("window.sounds").count("fail") == 1


def test_prometheus_reads_the_boxs_state_beside_the_page() -> None:
    screen = Screen("cp-014", ["cam-1"], metrics=lambda: "cuao_events_waiting 3\n")
    with visiting(screen) as client:
        answer = client.get("/metrics")
    assert (answer.status_code, answer.text) == (200, "cuao_events_waiting 3\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_a_gate_that_is_added_gets_its_panel_and_one_that_goes_loses_it() -> None:
    screen = Screen("cp-014", ["gate-1"])
    with visiting(screen) as visitor:
        screen.show(STOP)
        assert visitor.get("/?camera=gate-2").status_code == 404
        screen.watch(["gate-1", "gate-2"])
        screen.show(replace(STOP, camera="gate-2", scan="scan-2"))
        assert "scan-2" in visitor.get("/?camera=gate-2").text
        assert "scan-1" in visitor.get("/?camera=gate-1").text
        screen.watch(["gate-2"])
        assert visitor.get("/?camera=gate-1").status_code == 404
        screen.health("gate-1", LIVE)
        assert "gate-1" not in visitor.get("/").text
