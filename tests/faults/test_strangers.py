"""Who may speak to the broker and to central, and as whom: a real Mosquitto with the city's own configuration."""

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from central.authority import Authority
from edge.gate.enrol import Refused, Renewal, enrol
from edge.gate.link import Link
from edge.gate.outbox import Outbox
from edge.settings import Tls
from models.wire import events, tls, topics
from tests.faults import rig

pytestmark = [pytest.mark.service, pytest.mark.timeout(300)]
FILES = {"ca": "ca.pem", "certificate": "edge.pem", "key": "edge.key"}


@dataclass
class Gatehouse:
    """The broker of a city, its authority, and the certificates of central and two boxes."""

    folder: Path
    authority: Authority
    broker: rig.Part
    port: int

    def context(self, name: str) -> ssl.SSLContext:
        pki = self.folder / "pki"
        return tls.context(pki / "ca.pem", pki / f"{name}.pem", pki / f"{name}.key")

    def client(self, context: ssl.SSLContext | None) -> "Caller":
        return Caller(self.port, context)


class Caller:
    """A bare client that remembers what the broker answered."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.answers: list[str] = []
        self.heard: list[bytes] = []
        self.ended = threading.Event()
        self._met = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_disconnect = lambda *_: self.ended.set()
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self.answers.append(str(reason))
        self._client.on_message = lambda _c, _u, message: self.heard.append(bytes(message.payload))
        if context is not None:
            self._client.tls_set_context(context)
        self._client.connect("localhost", port)
        self._client.loop_start()
        assert self._met.wait(20), "no answer"

    def _connected(self, _client: Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        assert not reason.is_failure, str(reason)
        self._met.set()

    def publish(self, topic: str, payload: bytes = b"[]") -> None:
        self._client.publish(topic, payload, qos=1)

    def subscribe(self, topic: str) -> None:
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe(topic, 1)
        assert done.wait(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def gatehouse() -> Iterator[Gatehouse]:
    folder = Path(tempfile.mkdtemp(prefix="pki-", dir="/tmp"))
    authority = Authority(folder / "pki")
    for name in ("central", "broker"):
        authority.issue(name, folder / "pki", ["localhost", "127.0.0.1"])
    for name in ("edge-01", "edge-02", "lost"):
        authority.issue(name, folder / "pki")
    assert authority.revoke("lost") == 1
    port, plain = rig.free_port(), rig.free_port()
    told = (rig.ROOT / "configs/mosquitto-city.conf").read_text()
    told = told.replace("listener 8883", f"listener {port}").replace("listener 1883", f"listener {plain}")
    told = told.replace("data/pki", str(folder / "pki")).replace("configs/mosquitto.acl", str(folder / "acl"))
    shutil.copy(rig.ROOT / "configs/mosquitto.acl", folder / "acl")
    config = folder / "city.conf"
    config.write_text(told + "log_dest stderr\nuser root\n")
    broker = rig.mosquitto(folder, plain)
    broker.words = [broker.words[0], "-c", str(config)]
    broker.start()
    rig.until(lambda: rig.listens(plain), "the broker")
    yield Gatehouse(folder, authority, broker, port)
    broker.kill()
    shutil.rmtree(folder)


def settled(true: Any) -> None:
    rig.until(true, "the broker's answer", 20)


def test_a_box_speaks_for_itself(gatehouse: Gatehouse) -> None:
    box = gatehouse.client(gatehouse.context("edge-01"))
    box.publish("v1/cp-014/edge-01/event")
    settled(lambda: box.answers)
    assert "Not authorized" not in box.answers[0]
    box.close()


def test_a_box_cannot_speak_for_another_and_it_is_counted(gatehouse: Gatehouse, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    link = Link(
        f"mqtts://localhost:{gatehouse.port}",
        topics.Box("cp-014", "edge-02"),
        "b1",
        outbox,
        describe=lambda: events.EdgeState(state="online", boot="b1", at=datetime.now(UTC)),
        on_verdict=lambda _: None,
        on_change=lambda _: None,
        known=gatehouse.context("edge-01"),
    )
    link.start()
    settled(lambda: link.counters.refused)
    link.close()
    outbox.close()


def test_a_box_cannot_hear_what_another_is_told(gatehouse: Gatehouse) -> None:
    eavesdropper = gatehouse.client(gatehouse.context("edge-01"))
    for topic in ("v1/cp-014/edge-02/receipt", "v1/+/+/verdict", "#"):
        eavesdropper.subscribe(topic)
    central = gatehouse.client(gatehouse.context("central"))
    central.publish("v1/cp-014/edge-02/receipt", b"secret")
    central.publish("v1/cp-014/edge-02/verdict", b"secret")
    settled(lambda: len(central.answers) == 2)
    eavesdropper.publish("v1/cp-014/edge-01/event")  # by its answer everything before it has been sent
    settled(lambda: eavesdropper.answers)
    assert eavesdropper.heard == []
    central.close()
    eavesdropper.close()


def test_a_packet_that_is_too_large_ends_the_connection_and_nobody_elses(gatehouse: Gatehouse) -> None:
    other = gatehouse.client(gatehouse.context("edge-02"))
    greedy = gatehouse.client(gatehouse.context("edge-01"))
    greedy._client._sock.sendall(b"\x32\xff\xff\xff\x7f" + bytes(4096))  # type: ignore[union-attr]  # past paho's own check
    assert greedy.ended.wait(20)
    other.publish("v1/cp-014/edge-02/event")
    settled(lambda: other.answers)
    settled(lambda: "oversize" in gatehouse.broker.log.read_text() or "too large" in gatehouse.broker.log.read_text())
    greedy.close()
    other.close()


def knock(port: int, context: ssl.SSLContext) -> None:
    with socket.create_connection(("localhost", port)) as raw:
        raw.settimeout(20)
        with context.wrap_socket(raw, server_hostname="localhost") as wire:
            wire.sendall(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x03abc")
            if wire.recv(100) == b"":
                raise ConnectionError("closed")


@pytest.mark.parametrize("who", ["nobody", "another authority's", "revoked"])
def test_who_has_no_certificate_of_ours_is_not_heard(gatehouse: Gatehouse, who: str, tmp_path: Path) -> None:
    ours = gatehouse.folder / "pki" / "ca.pem"
    if who == "nobody":
        context = ssl.create_default_context(cafile=str(ours))
    elif who == "revoked":
        context = gatehouse.context("lost")
    else:
        Authority(tmp_path).issue("edge-01", tmp_path)
        context = tls.context(ours, tmp_path / "edge-01.pem", tmp_path / "edge-01.key")
    # TLS 1.3 lets a client believe for a moment that it is in: the alert comes with the first answer
    with pytest.raises((ssl.SSLError, ConnectionError)):
        knock(gatehouse.port, context)
    settled(lambda: "SSL" in gatehouse.broker.log.read_text() or "Protocol error" in gatehouse.broker.log.read_text())


@pytest.fixture(scope="module")
def city(gatehouse: Gatehouse) -> Iterator[Path]:
    """Central with its second ear; the folder in which it says where."""
    folder, pki = gatehouse.folder, gatehouse.folder / "pki"
    https = {"host": "127.0.0.1", "port": 0, "pki": str(pki), "broker": f"mqtts://localhost:{gatehouse.port}"}
    https |= {"certificate": str(pki / "central.pem"), "key": str(pki / "central.key")}
    part = rig.central(
        folder,
        "central",
        broker=f"mqtts://localhost:{gatehouse.port}",
        database=f"sqlite+aiosqlite:///{folder}/central/central.db",
        https=https,
    )
    part.start()
    rig.until(lambda: "connected to the broker" in part.log.read_text(), "central")
    yield folder
    assert part.stop() == 0
    assert "Traceback" not in part.log.read_text()


def invite(folder: Path, edge: str) -> str:
    words = [sys.executable, "-m", "central", "invite", "cp-014", edge, "--config", str(folder / "central.yaml")]
    return subprocess.run(words, cwd=rig.ROOT, check=True, capture_output=True, text=True).stdout.strip()


def url(folder: Path) -> str:
    return (folder / "central" / "https.url").read_text().strip()


def test_a_new_box_comes_in_by_a_code_that_works_once(city: Path, gatehouse: Gatehouse, tmp_path: Path) -> None:
    code = invite(city, "edge-09")
    told = enrol(url(city), code, tmp_path)
    assert "edge: edge-09" in told
    mine = tls.context(tmp_path / "ca.pem", tmp_path / "edge.pem", tmp_path / "edge.key")
    box = gatehouse.client(mine)
    box.publish("v1/cp-014/edge-09/event")
    settled(lambda: box.answers)
    assert "Not authorized" not in box.answers[0]
    box.close()
    with pytest.raises(Refused, match="used"):
        enrol(url(city), code, tmp_path / "again")


def test_a_box_tells_no_code_to_somebody_who_is_not_central(city: Path, tmp_path: Path) -> None:
    secret = invite(city, "edge-10").rpartition(".")[0]
    with pytest.raises(Refused, match="not the central"):
        enrol(url(city), f"{secret}.{'0' * 16}", tmp_path)


def test_evidence_comes_by_certificate_until_it_is_revoked(city: Path, gatehouse: Gatehouse) -> None:
    import hashlib

    gatehouse.authority.issue("edge-11", gatehouse.folder / "pki")
    picture = b"\xff\xd8\xff\xe0 a picture"
    name = hashlib.sha256(picture).hexdigest()

    def bring(context: ssl.SSLContext) -> int:
        with httpx.Client(verify=context, trust_env=False) as client:
            return client.put(f"{url(city)}/evidence/{name}", content=picture).status_code

    known = gatehouse.context("edge-11")
    assert bring(known) in {201, 204}
    assert bring(ssl.create_default_context(cafile=str(gatehouse.folder / "pki" / "ca.pem"))) in {401, 403, 404, 204}
    gatehouse.authority.revoke("edge-11")

    def shut_out() -> bool:
        try:
            bring(known)
        except httpx.HTTPError:
            return True
        return False

    settled(shut_out)
    assert gatehouse.broker.process is not None
    gatehouse.broker.process.send_signal(signal.SIGHUP)
    settled(lambda: gatehouse.broker.alive)


def test_a_box_renews_its_certificate_while_it_runs_and_nobody_elses(
    city: Path, gatehouse: Gatehouse, tmp_path: Path
) -> None:
    told = enrol(url(city), invite(city, "edge-12"), tmp_path)
    files = Tls(**{name: str(tmp_path / file) for name, file in FILES.items()})
    before = x509.load_pem_x509_certificate((tmp_path / "edge.pem").read_bytes())
    known = tls.context(tmp_path / "ca.pem", tmp_path / "edge.pem", tmp_path / "edge.key")
    renewal = Renewal(url(city), files, known)
    renewal.renew()
    after = x509.load_pem_x509_certificate((tmp_path / "edge.pem").read_bytes())
    assert after.subject == before.subject
    assert after.serial_number != before.serial_number
    assert "edge: edge-12" in told
    box = gatehouse.client(known)
    box.publish("v1/cp-014/edge-12/event")
    settled(lambda: box.answers)
    assert "Not authorized" not in box.answers[0]
    box.close()
    gatehouse.authority.revoke("edge-12")
    settled(lambda: not refused_to_nobody(renewal))
    without = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with httpx.Client(verify=without, trust_env=False) as client:
        assert client.post(f"{url(city)}/enrolment/renew", json={"request": "x"}).status_code in {401, 403}


def refused_to_nobody(renewal: Renewal) -> bool:
    try:
        renewal.renew()
    except Refused:
        return False
    return True
