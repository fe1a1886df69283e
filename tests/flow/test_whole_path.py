"""Camera to screen and back to the disk, in real processes, and what happens when one of them fails."""

import subprocess
from pathlib import Path

import paho.mqtt.publish
import pytest

from scripts.city.people import CAST
from scripts.city.rtsp import RtspServer
from scripts.city.screens import chromium
from tests.conftest import Broker
from tests.flow.street import ROOT, TOPIC, Street, until

pytestmark = [pytest.mark.flow, pytest.mark.service]


@pytest.mark.parametrize("street", ["sqlite", "postgres"], indirect=True)
def test_a_code_before_the_camera_is_answered_on_the_officers_screen(
    street: Street, camera: RtspServer, request: pytest.FixtureRequest
) -> None:
    central = street.found_central()
    edge = street.found_edge({"cam-1": camera.url("gate")})
    pictures = ROOT / ".cache" / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(street.screen_url)
        for role in CAST:
            answer = page.locator(f'[data-outcome="{role.outcome}"][data-by="central"]')
            answer.wait_for(state="visible", timeout=30_000)
            name = f"flow-{request.node.callspec.id}-{role.outcome.lower()}.png"
            page.screenshot(path=pictures / name)
        panels = page.content()
    assert faults == []
    assert edge.ask_to_end() == 0
    until("every event of the box is stored", street.is_whole)
    scanned = street.query("SELECT data FROM event WHERE type = 'pass.scanned.v1'")
    assert len(scanned) >= len(CAST)
    assert central.ask_to_end() == 0
    said = street.logs() + panels + "".join(row[0] for row in scanned)
    assert not [role.person.number for role in CAST if role.person.number in said]


def test_a_stream_of_gstreamer_is_read_as_well(street: Street, clip: Path) -> None:
    street.found_central()
    server = street.programme("gstreamer", "/usr/bin/python3", str(Path(__file__).parent / "gst_server.py"), str(clip))
    server.start()
    street.found_edge({"cam-1": server.address(server.log)})
    street.painted(by="central")


def test_a_dead_broker_loses_nothing(street: Street, camera: RtspServer, mosquitto: Broker) -> None:
    street.found_central()
    street.found_edge({"cam-1": camera.url("gate")})
    before = street.painted(by="central")
    mosquitto.kill()
    alone = street.painted(by="edge", after=[before["scan"]])
    until("events wait on the box's disk", lambda: street.waiting)
    mosquitto.start()
    camera.stop()
    until("every event of the box is stored once", street.is_whole)
    assert street.query(f"SELECT type FROM event WHERE id = '{alone['scan']}'") == [("pass.scanned.v1",)]


def test_without_central_the_gate_decides_by_itself_and_central_learns_of_it_later(
    street: Street, camera: RtspServer
) -> None:
    central = street.found_central()
    street.found_edge({"cam-1": camera.url("gate")})
    before = street.painted(by="central")
    until("the box knows the residents", (street.folder / "edge/snapshot/snapshot.json").exists)
    assert central.ask_to_end() == 0
    # by itself it says what central would: the cast has one of each
    seen = [before["scan"]]
    told: set[str] = set()
    while told != {role.outcome for role in CAST}:
        alone = street.painted(by="edge", after=seen)
        seen.append(alone["scan"])
        told.add(alone["outcome"])
    street.start_central(central)
    street.painted(by="central", after=seen)
    camera.stop()
    until("every event of the box is stored once", street.is_whole)
    assert street.query(f"SELECT type FROM event WHERE id = '{alone['scan']}'") == [("pass.scanned.v1",)]
    differing = "SELECT scan FROM decision WHERE local_outcome <> outcome AND late"
    assert street.query(differing) == []


def test_a_wrong_password_stops_one_camera_and_no_other(street: Street, camera: RtspServer, clip: Path) -> None:
    street.found_central()
    locked = RtspServer(user="guard", password="right-one")
    locked.add("yard", clip)
    locked.start()
    try:
        wrong = locked.url("yard").replace("rtsp://", "rtsp://guard:wrong-one@")
        street.found_edge({"cam-1": camera.url("gate"), "cam-2": wrong})
        with street.visitor() as visitor:
            until(
                "central's first page says that the camera is locked",
                lambda: "unauthorised" in visitor.get("/").text,
            )
        street.painted(by="central", camera="cam-1")
        assert street.panel("cam-2") == {}
    finally:
        street.end()
        locked.stop()
    assert "wrong-one" not in street.logs()


def test_what_is_no_event_is_kept_as_a_dead_letter_and_scans_are_answered_on(
    street: Street, camera: RtspServer, mosquitto: Broker
) -> None:
    street.found_central()
    street.found_edge({"cam-1": camera.url("gate")})
    before = street.painted(by="central")
    for payload in (b"{not json", b"", b"[1, 2]", b"\xff" * 2000):
        paho.mqtt.publish.single(TOPIC, payload, qos=1, hostname="127.0.0.1", port=mosquitto.port)
    # the array is two of them
    until("five dead letters", lambda: len(street.query("SELECT reason FROM dead_letter")) == 5)
    street.painted(by="central", after=[before["scan"]])


def test_a_second_process_on_the_same_disk_says_so_and_ends(street: Street, camera: RtspServer) -> None:
    street.found_central()
    edge = street.found_edge({"cam-1": camera.url("gate")})
    again = subprocess.run(edge.command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert again.returncode == 2
    assert "outbox" in again.stderr
    assert "Traceback" not in again.stderr
