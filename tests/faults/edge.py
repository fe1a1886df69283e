"""A box without cameras, as a process: the real outbox and link, and events that a seed makes. What is on the disk is
written to a log of its own, which is the oracle. `--puback` is the outbox that believes the broker.
"""

import argparse
import os
import queue
import random
import signal
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import UNSET
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.gate.link import Link
from edge.gate.outbox import Outbox, Thinned, Urgency
from edge.gate.uuid7 import uuid7
from models.passes.outcome import Outcome
from models.wire import events, seal, topics

URGENCIES: tuple[Urgency, ...] = ("now", "history")
MIX = {"crowd.measured": 60.0, "pass.scanned": 20.0, "camera.status": 10.0, "zone.breached": 10.0}


def data_of(kind: str, number: int, dice: random.Random, key: bytes | None) -> events.Data:
    """One event's data, as a box would tell it."""
    if kind == "crowd.measured":
        person = dice.randint(0, 40)
        counts = events.Counts(person=person, motorbike=dice.randint(0, 60))
        return events.CrowdMeasured(zone=f"z{number % 4}", counts=counts, low=person, high=person + 5, basis="detector")
    if kind == "pass.scanned":
        identity = seal.Identity(ids=(("cccd", f"001080{dice.randint(0, 999_999):06d}"),))
        local = events.Local(outcome=Outcome.CHECK, reasons=("no_registry",))
        return events.PassScanned(kind="cccd", sealed=seal.seal(identity, key) if key else UNSET, local=local)
    if kind == "camera.status":
        state = dice.choice(("live", "stalled"))
        return events.CameraStatus(camera=f"cam-{number % 8}", state=state, reason="test", since=0.0, watched={})
    return events.ZoneBreached(
        phase="open",
        incident=f"i{number}-{os.getpid()}",
        zone="yard",
        track=number % 1000,
        box=(0.1, 0.1, 0.1, 0.2),
        foot=(0.15, 0.3),
        left_at=1.0,
        reported_at=2.0,
        certainty="left",
    )


def maker(box: topics.Box, camera: str, data: events.Data, name: str, at: datetime) -> Callable[[int, str], bytes]:
    def make(sequence: int, epoch: str) -> bytes:
        told = events.Event(
            id=name,
            site=box.site,
            edge=box.edge,
            camera=camera,
            time=at,
            clock="synced",
            sequence=sequence,
            epoch=epoch,
            data=data,
        )
        return events.encode(told)

    return make


def urgency_of(data: events.Data) -> Urgency:
    return "history" if isinstance(data, events.CrowdMeasured) else "now"


class PubackLink:
    """The peer: what the broker has acknowledged is deleted."""

    def __init__(self, port: int, box: topics.Box, outbox: Outbox) -> None:
        self._box, self._outbox = box, outbox
        self._sent: dict[int, list[int]] = {}
        self._acknowledged: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_publish = lambda _client, _userdata, mid, *_rest: self._acknowledged.put(mid)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect_async("127.0.0.1", port)
        self._thread = threading.Thread(target=self._send_always)
        outbox.let_go()

    def start(self) -> None:
        self._client.loop_start()
        self._thread.start()

    def _send_always(self) -> None:
        while not self._closing.wait(0.01):
            while not self._acknowledged.empty():
                sequences = self._sent.pop(self._acknowledged.get(), [])
                self._outbox.receipt(self._outbox.epoch, [(number, number) for number in sequences])
            if not self._client.is_connected():
                continue
            for urgency in URGENCIES:
                while rows := self._outbox.unsent(urgency, limit=100):
                    said = self._client.publish(self._box.event, events.join([row.body for row in rows]), qos=1)
                    self._sent[said.mid] = [row.sequence for row in rows]

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--key", help="central's public key")
    parser.add_argument("--cap-bytes", type=int, default=512 << 20)
    parser.add_argument("--puback", action="store_true")
    parser.add_argument("--clock-steps", action="store_true", help="the box's clock jumps an hour, there and back")
    parser.add_argument("--drain", action="store_true", help="make nothing, end when nothing waits")
    return parser.parse_args()


def generate(
    outbox: Outbox,
    box: topics.Box,
    stop: threading.Event,
    *,
    rate: float,
    seed: int,
    key: bytes | None,
    log: int,
    clock: Callable[[], datetime],
) -> None:
    """Events at this rate until the stop; each one that is on the disk gets a line in the log."""
    dice = random.Random(f"{seed} {box.edge} {time.time_ns() if seed < 0 else 0}")
    began, made = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * rate)
        while made < due:
            made += 1
            kind = dice.choices(list(MIX), list(MIX.values()))[0]
            data = data_of(kind, made, dice, key)
            name = uuid7()

            def kept(done: Any, name: str = name, kind: str = kind) -> None:
                if done.exception() is None:
                    os.write(log, f"{name} {kind}\n".encode())
                elif not isinstance(done.exception(), Thinned):
                    raise done.exception()

            make = maker(box, f"cam-{made % 8}", data, name, clock())
            outbox.put(
                make, urgency_of(data), thin="crowd.measured.v1" if kind == "crowd.measured" else None
            ).add_done_callback(kept)
        stop.wait(0.005)


def main() -> None:
    given = _given()
    stop = threading.Event()
    if given.drain:
        stop.set()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    box = topics.Box("faults", given.name)
    key = urlsafe_b64decode(given.key + "=") if given.key else None
    log = os.open(given.folder / f"{given.name}.generated", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    woken: list[Callable[[], None]] = []
    outbox = Outbox(
        given.folder / given.name / "outbox.db",
        cap_bytes=given.cap_bytes,
        on_commit=lambda: woken[0]() if woken else None,
    )
    port = int(given.broker.rpartition(":")[2])

    def clock() -> datetime:
        step = (0, 1, 0, -1)[int(time.monotonic() / 3) % 4] if given.clock_steps else 0
        return datetime.now(UTC) + timedelta(hours=step)

    boot = uuid7()

    def describe() -> events.EdgeState:
        return events.EdgeState(state="online", boot=boot, at=clock(), epoch=outbox.epoch, waiting=outbox.waiting)

    link: Link | PubackLink
    if given.puback:
        link = PubackLink(port, box, outbox)
    else:
        link = Link(
            given.broker, box, boot, outbox, describe=describe, on_verdict=lambda _: None, on_change=lambda _: None
        )
        woken.append(link.wake)
    link.start()
    generate(outbox, box, stop, rate=given.rate, seed=given.seed, key=key, log=log, clock=clock)
    while outbox.waiting:  # until killed: an outbox that cannot be emptied is what the test looks for
        time.sleep(0.02)
    link.close()
    outbox.close()


if __name__ == "__main__":
    main()
