"""The wire to central: MQTT 5. It carries batches up, receipts and verdicts down, and keeps nothing of its own.

Every connection is a fresh client with a clean session: what was on its way is still in the outbox and is sent again.
"""

import logging
import math
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import UNSET
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.gate.outbox import Outbox, Urgency
from models.wire import events, topics
from models.wire.command import EXPIRY_S

log = logging.getLogger(__name__)

_KEEPALIVE_S = 10
_CONNECT_S = 5.0
_BATCH = 200
_FULL_BYTES = 56 << 10
"""A batch that holds this much has no room for another event, or hardly."""
_WINDOWS: Mapping[Urgency, int] = MappingProxyType({"now": 4, "history": 4})
"""Batches on their way, eight in all; a window for each class, so that a fresh pass never waits behind a backlog."""
_HISTORY_LINGER_S = 0.25
_PATIENCE_S = 3.0
"""How long a batch waits for its receipt before central is asked; doubled while none comes."""
_ANSWER_S = 3.0
"""After a connection or a replica of central ended: how long the others have to say what has come of what was on its
way. Then the rest is sent again; what is new does not wait for that."""
_SLOW_S = 10.0
"""The same while nothing has ended: then nothing is lost, only slow, and sending it again would make it slower."""
_PATIENCE_MOST_S = 30.0
_STATE_EVERY_S = 5.0
_BACK_OFF_FIRST_S = 0.5
_BACK_OFF_MOST_S = 10.0


@dataclass(slots=True)
class _Batch:
    urgency: Urgency
    sequences: set[int]
    until: float
    doubted: bool = False
    """Perhaps it has come and its receipt has not: central is asked before it is sent again."""
    astray: bool = False
    """A connection or a replica has ended with it: it takes no room in the window any more."""


@dataclass(slots=True)
class Counters:
    """What went past; all of it ends in the box's state."""

    connects: int = 0
    batches: int = 0
    resent: int = 0
    """Events sent again because no receipt came."""
    rejected: int = 0
    """Events that central keeps as dead letters."""
    refused: int = 0
    """Connections that the broker refused, and messages that it did not let through."""
    wrong_payloads: int = 0
    """Messages from the broker that were none of ours."""


def _without_delay(_client: Client, _userdata: Any, sock: Any) -> None:
    """paho leaves Nagle's algorithm on: it costs a question and its answer 42 ms instead of 0.6."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@dataclass(slots=True)
class _Central:
    state: str = "offline"
    boot: str = ""


@dataclass(slots=True)
class _Port:
    host: str
    number: int
    tls: bool
    user: str | None
    password: str | None = field(repr=False)


def _port(url: str) -> _Port:
    parts = urlsplit(url)
    tls = parts.scheme == "mqtts"
    user, password = parts.username, parts.password
    return _Port(
        parts.hostname or "",
        parts.port or (8883 if tls else 1883),
        tls,
        unquote(user) if user else None,
        unquote(password) if password else None,
    )


class Link:
    """Threads: one for the connection (paho's callbacks run there), one that sends.

    `describe` gives the box's present state, `on_verdict` gets central's answers, `on_change` hears that central came
    or went; all three are called on the link's threads and must be quick.
    """

    def __init__(
        self,
        broker: str,
        box: topics.Box,
        boot: str,
        outbox: Outbox,
        *,
        describe: Callable[[], events.EdgeState],
        on_verdict: Callable[[events.Verdict], None],
        on_change: Callable[[bool], None],
        on_config: Callable[[bytes], None] = lambda _: None,
        on_command: Callable[[bytes], None] = lambda _: None,
        on_snapshot: Callable[[events.Notice], None] = lambda _: None,
        on_countersigned: Callable[[Mapping[str, str]], None] = lambda _: None,
        known: ssl.SSLContext | None = None,
    ) -> None:
        self._port = _port(broker)
        self._box = box
        self._boot = boot
        self._outbox = outbox
        self._describe = describe
        self._on_verdict = on_verdict
        self._on_change = on_change
        self._on_config = on_config
        self._on_command = on_command
        self._on_snapshot = on_snapshot
        self._on_countersigned = on_countersigned
        self._known = known
        self.counters = Counters()
        self._lock = threading.RLock()
        self._client: Client | None = None
        self._connected = False
        self._central = _Central()
        self._batches: list[_Batch] = []
        self._patience_s = _PATIENCE_S
        self._told: events.EdgeState | None = None
        self._told_to: Client | None = None
        self._next_state = 0.0
        self._next_history = 0.0
        self._held_until = 0.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._connect_always, name="link", daemon=True),
            threading.Thread(target=self._send_always, name="link-send", daemon=True),
        ]

    @property
    def is_up(self) -> bool:
        """The broker is connected and central says that it is there."""
        return self._connected and self._central.state == "online"

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """The outbox has something new."""
        self._wake.set()

    def answer(self, command: str, document: str) -> None:
        """To a command, while somebody still waits for it; without a connection nobody does."""
        if (client := self._client) is None:
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.MessageExpiryInterval = EXPIRY_S
        properties.CorrelationData = command.encode()
        client.publish(self._box.answer, document, qos=1, properties=properties)

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing waits for a receipt, or nobody is there to give one. True when the outbox is empty."""
        until = time.monotonic() + timeout_s
        while self._outbox.waiting and self.is_up and time.monotonic() < until:
            time.sleep(0.02)
        return self._outbox.waiting == 0

    def close(self) -> None:
        """Say offline, then go without a will. A connection attempt that hangs is left alone."""
        self._closing.set()
        self._wake.set()
        client = self._client
        if client is not None and self._connected:
            offline = events.to_json(events.EdgeState(state="offline", boot=self._boot))
            said = client.publish(self._box.state, offline, qos=1, retain=True)
            try:
                said.wait_for_publish(1.0)
            except (RuntimeError, ValueError):
                log.info("link: lost before it could say offline; the last will says it")
        if client is not None:
            client.disconnect()
        for thread in self._threads:
            thread.join(1.0)

    # The connection's thread

    def _connect_always(self) -> None:
        back_off = _BACK_OFF_FIRST_S
        reached = True
        while not self._closing.is_set():
            before = self.counters.connects
            client = self._fresh_client()
            try:
                client.connect(self._port.host, self._port.number, keepalive=_KEEPALIVE_S, clean_start=True)
                self._client = client
                client.loop_forever()
            except OSError as error:
                log.log(
                    logging.WARNING if reached else logging.DEBUG,  # once an outage
                    "link: broker %s:%d is not reached (%s); events wait in the outbox",
                    self._port.host, self._port.number, error.strerror or type(error).__name__,
                )  # fmt: skip
                reached = False
                self.counters.refused += isinstance(error, ssl.SSLError)
            self._lost()
            if self.counters.connects > before:
                back_off, reached = _BACK_OFF_FIRST_S, True
            self._closing.wait(back_off * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
            back_off = min(back_off * 2, _BACK_OFF_MOST_S)

    def _fresh_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{self._box.site}.{self._box.edge}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        client.on_socket_open = _without_delay
        client.on_connect = self._connected_to_broker
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        client.on_publish = self._published
        if self._port.tls:
            client.tls_set_context(self._known or ssl.create_default_context())
        if self._port.user is not None:
            client.username_pw_set(self._port.user, self._port.password)
        will = events.to_json(events.EdgeState(state="offline", boot=self._boot))
        client.will_set(self._box.state, will, qos=1, retain=True)
        return client

    def _connected_to_broker(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.counters.refused += 1
            log.error("link: the broker refuses us (%s); check our certificate and its access list", reason)
            client.disconnect()
            return
        if self._closing.is_set():
            client.disconnect()
            return
        # Receipts are subscribed to before the first event can be sent: the broker keeps the order of one connection.
        client.subscribe(
            [
                (self._box.receipt, 1),
                (self._box.verdict, 1),
                (topics.CENTRAL_STATE, 1),
                (self._box.config, 1),
                (self._box.command, 1),
                (self._box.snapshot, 1),
            ]
        )
        with self._lock:
            self.counters.connects += 1
            self._connected = True
        self._tell_state(client)
        log.info("link: connected to broker %s:%d", self._port.host, self._port.number)
        self._wake.set()

    def _published(
        self, _client: Client, _userdata: Any, _mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        if reason.is_failure:
            self.counters.refused += 1
            log.error("link: the broker does not let a message through (%s); check its access list", reason)

    def _disconnected(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not self._closing.is_set():
            log.warning("link: the broker's connection ended (%s); connecting again", reason)

    def _lost(self) -> None:
        with self._lock:
            was_up = self.is_up
            self._connected = False
            self._client = None
            self._central = _Central()
            self._doubt()
        if was_up:
            self._on_change(False)

    def _doubt(self) -> None:
        for batch in self._batches:
            batch.doubted, batch.astray, batch.until = True, True, math.inf
        self._patience_s = _PATIENCE_S

    def _ask(self, client: Client, now: float) -> None:
        """Which of the doubted have come? An answer costs a message, sending them again a hundred."""
        unsure = events.ranges(sequence for batch in self._batches if batch.doubted for sequence in batch.sequences)
        unsure = self._outbox.unsure + unsure
        if unsure:
            state = msgspec.structs.replace(self._describe(), unsure=unsure)
            client.publish(self._box.state, events.to_json(state), qos=1)
        for batch in self._batches:
            if batch.astray:
                batch.until = min(batch.until, now + _ANSWER_S)
        self._held_until = now + _ANSWER_S

    def _message(self, client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            if message.topic == self._box.receipt:
                self._receipt(events.from_json(bytes(message.payload), events.Receipt))
            elif message.topic == self._box.verdict:
                self._on_verdict(events.from_json(bytes(message.payload), events.Verdict))
            elif message.topic == self._box.config:
                self._on_config(bytes(message.payload))
            elif message.topic == self._box.command:
                self._on_command(bytes(message.payload))
            elif message.topic == self._box.snapshot:
                self._on_snapshot(events.from_json(bytes(message.payload), events.Notice))
            elif message.topic == topics.CENTRAL_STATE:
                self._central_state(client, events.from_json(bytes(message.payload), events.CentralState))
        except events.Unreadable:
            self.counters.wrong_payloads += 1
            leaf = message.topic.rsplit("/", 1)[-1]
            log.warning("link: a %s of %d bytes is none of ours; ignored", leaf, len(message.payload))

    def _receipt(self, receipt: events.Receipt) -> None:
        self._outbox.receipt(receipt.epoch, receipt.ranges)
        if receipt.epoch != self._outbox.epoch:
            log.warning("link: a receipt for another outbox; ignored")
            return
        if receipt.evidence is not UNSET:
            self._on_countersigned(receipt.evidence)
        if receipt.rejected is not UNSET:
            self.counters.rejected += len(receipt.rejected)
            log.error("link: central rejected %d events; it keeps them as dead letters", len(receipt.rejected))
        with self._lock:
            self._patience_s = _PATIENCE_S
            for batch in self._batches:
                batch.sequences = {
                    sequence
                    for sequence in batch.sequences
                    if not any(first <= sequence <= last for first, last in receipt.ranges)
                }
            self._batches = [batch for batch in self._batches if batch.sequences]
        self._wake.set()

    def _central_state(self, client: Client, state: events.CentralState) -> None:
        with self._lock:
            was_up, was_boot = self.is_up, self._central.boot
            self._central = _Central(state.state, state.boot)
            if state.state == "online" and state.boot != was_boot:
                self._doubt()  # the central that had them may have died with them
                self._ask(client, time.monotonic())
        if self.is_up != was_up:
            log.info("link: central is %s", state.state)
            self._on_change(self.is_up)
        self._wake.set()

    # The sending thread

    def _send_always(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(self._pause())
            self._wake.clear()
            now = time.monotonic()
            if self._connected and now >= self._next_state and (client := self._client) is not None:
                self._tell_state(client)
            self._expire(now)
            for urgency in _WINDOWS:
                while self._send(urgency, now):
                    pass

    def _pause(self) -> float:
        now = time.monotonic()
        with self._lock:
            moments = [batch.until for batch in self._batches]
            if self._outbox.unsure and self.is_up:
                moments.append(self._held_until)
        if self._connected:
            moments += [self._next_state, self._next_history if self._next_history > now else now + 1.0]
        return min(max(0.0, min(moments, default=now + 1.0) - now), 1.0)

    def _expire(self, now: float) -> None:
        with self._lock:
            client = self._client
            if client is None or not self.is_up:
                return
            late = [batch for batch in self._batches if batch.until <= now]
            for batch in late:
                if batch.doubted:
                    self._batches.remove(batch)
                    self._outbox.resend(batch.sequences)
                    self.counters.resent += len(batch.sequences)
            if self._outbox.unsure and self._held_until <= now:
                self._outbox.let_go()
            if slow := [batch for batch in late if not batch.doubted]:
                self._patience_s = min(self._patience_s * 2, _PATIENCE_MOST_S)
                for batch in slow:
                    batch.doubted, batch.until = True, now + _SLOW_S
                self._ask(client, now)

    def _send(self, urgency: Urgency, now: float) -> bool:
        """One batch, if there is one and its window is open. True when another may follow."""
        with self._lock:
            client = self._client
            busy = sum(batch.urgency == urgency and not batch.astray for batch in self._batches)
            if client is None or not self.is_up or busy >= _WINDOWS[urgency]:
                return False
            if urgency == "history" and now < self._next_history:
                return False
            rows = self._outbox.unsent(urgency, limit=_BATCH)
            if not rows:
                return False
            self._batches.append(_Batch(urgency, {row.sequence for row in rows}, now + self._patience_s))
            if urgency == "history" and len(rows) < _BATCH and sum(len(row.body) for row in rows) < _FULL_BYTES:
                self._next_history = now + _HISTORY_LINGER_S
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        properties.ContentType = events.BATCH_CONTENT_TYPE
        client.publish(self._box.event, events.join([row.body for row in rows]), qos=1, properties=properties)
        self.counters.batches += 1
        return True

    def _tell_state(self, client: Client) -> None:
        """The retained birth. At a new connection always (the broker keeps nothing), later only what has changed."""
        self._next_state = time.monotonic() + _STATE_EVERY_S
        state = self._describe()
        plain = msgspec.structs.replace(state, at=UNSET)
        if plain == self._told and client is self._told_to:
            return
        self._told, self._told_to = plain, client
        client.publish(self._box.state, events.to_json(state), qos=1, retain=True)
