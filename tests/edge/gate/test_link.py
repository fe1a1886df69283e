import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.gate.link import Link
from edge.gate.outbox import Outbox
from models.passes.outcome import Outcome
from models.wire import events, topics

pytestmark = pytest.mark.service
BOX = topics.Box("cp-014", "edge-01")


class Broker(Protocol):
    port: int

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + 20
    while not true():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.01)


class City:
    """Central's end of the wire, by paho itself: receipts what it gets unless told not to."""

    def __init__(self, port: int) -> None:
        self.batches: queue.Queue[list[bytes]] = queue.Queue()
        self.states: list[events.EdgeState] = []
        self.receipts = True
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = self._message
        ready = threading.Event()
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.subscribe([(topics.EVENTS, 1), (topics.STATES, 1)])
        self.client.loop_start()
        assert ready.wait(10)
        self.say(topics.CENTRAL_STATE, events.to_json(events.CentralState(state="online", boot="c1")), retain=True)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def _message(self, _client: Client, _userdata: Any, message: Any) -> None:
        if message.topic == BOX.state:
            self.states.append(events.from_json(message.payload, events.EdgeState))
            return
        batch = events.split(message.payload)
        self.batches.put(batch)
        if self.receipts:
            read = [events.open_envelope(raw) for raw in batch]
            ranges = tuple((int(envelope.sequence), int(envelope.sequence)) for envelope in read)
            receipt = events.to_json(events.Receipt(epoch=read[0].epoch, ranges=ranges))
            self.client.publish(BOX.receipt, receipt, qos=1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Edge:
    outbox: Outbox
    link: Link
    verdicts: list[events.Verdict] = field(default_factory=list)

    def put(self, count: int = 1) -> None:
        status = events.CameraStatus(camera="cam-1", state="online", reason="first", since=0.0, watched={})

        def make(sequence: int, epoch: str) -> bytes:
            at = datetime(2021, 9, 21, 6, tzinfo=UTC)
            where = {"site": BOX.site, "edge": BOX.edge, "camera": "cam-1", "clock": "synced"}
            return events.encode(
                events.Event(id=f"{epoch}-{sequence}", time=at, sequence=sequence, epoch=epoch, data=status, **where)  # type: ignore[arg-type]  # plain strings
            )

        for done in [self.outbox.put(make, "now") for _ in range(count)]:
            done.result()


@pytest.fixture
def edge(mosquitto: Broker, tmp_path: Path) -> Iterator[Edge]:
    verdicts: list[events.Verdict] = []
    outbox = Outbox(tmp_path / "outbox.db", on_commit=lambda: link.wake())  # noqa: PLW0108  (the link comes after it)
    link = Link(
        mosquitto.url,
        BOX,
        "boot-1",
        outbox,
        describe=lambda: events.EdgeState(state="online", boot="boot-1", waiting=outbox.waiting),
        on_verdict=verdicts.append,
        on_change=lambda _up: None,
    )
    link.start()
    yield Edge(outbox, link, verdicts)
    link.close()
    outbox.close()


@pytest.fixture
def city(mosquitto: Broker) -> Iterator[City]:
    there = City(mosquitto.port)
    yield there
    there.close()


def test_a_receipted_event_leaves_the_outbox(edge: Edge, city: City) -> None:
    edge.put(250)
    until(lambda: edge.outbox.waiting == 0)
    assert edge.link.drain(1.0)
    assert edge.outbox.generated == 250


def test_nothing_is_sent_while_central_is_away_and_all_of_it_when_it_comes(edge: Edge, mosquitto: Broker) -> None:
    edge.put(5)
    until(lambda: edge.link.counters.connects)
    assert not edge.link.is_up
    assert edge.link.counters.batches == 0
    city = City(mosquitto.port)
    until(lambda: edge.outbox.waiting == 0)
    city.close()


def test_an_event_without_a_receipt_is_sent_again(edge: Edge, city: City) -> None:
    city.receipts = False
    edge.put()
    first = city.batches.get(timeout=10)
    city.receipts = True
    assert city.batches.get(timeout=15) == first
    until(lambda: edge.outbox.waiting == 0)
    assert edge.link.counters.resent == 1


def test_what_the_broker_forgot_is_sent_again_when_it_is_back(edge: Edge, city: City, mosquitto: Broker) -> None:
    city.receipts = False
    edge.put(3)
    city.batches.get(timeout=10)
    mosquitto.kill()
    until(lambda: not edge.link.is_up)
    edge.put(2)
    mosquitto.start()
    back = City(mosquitto.port)
    until(lambda: edge.outbox.waiting == 0)
    back.close()


def test_at_most_eight_batches_wait_for_receipts(edge: Edge, city: City) -> None:
    city.receipts = False
    until(lambda: edge.link.is_up)
    edge.put(1500)
    until(lambda: city.batches.qsize() >= 6)
    assert len(edge.link._batches) <= 8


def test_birth_and_last_will_are_retained_and_name_the_boot(edge: Edge, city: City, mosquitto: Broker) -> None:
    until(lambda: city.states)
    assert (city.states[0].state, city.states[0].boot) == ("online", "boot-1")
    edge.link.close()
    until(lambda: city.states[-1].state == "offline")
    late = City(mosquitto.port)
    until(lambda: late.states)
    assert (late.states[0].state, late.states[0].boot) == ("offline", "boot-1")
    late.close()


def test_verdicts_arrive_and_wrong_payloads_are_counted_without_their_content(
    edge: Edge, city: City, caplog: pytest.LogCaptureFixture
) -> None:
    until(lambda: edge.link.is_up)
    city.say(BOX.verdict, b'{"scan": "secret-001203004567"}')
    city.say(BOX.receipt, b"\xff\x00")
    at = datetime(2021, 9, 21, 6, tzinfo=UTC)
    verdict = events.Verdict(scan="s1", outcome=Outcome.PASS, reasons=(), policy="p", decided_at=at)
    city.say(BOX.verdict, events.to_json(verdict))
    until(lambda: edge.verdicts)
    assert edge.verdicts == [verdict]
    assert edge.link.counters.wrong_payloads == 2
    assert "001203004567" not in caplog.text
