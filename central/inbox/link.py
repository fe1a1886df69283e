"""Central's end of the broker: takes what edges send, and answers after the commit. The broker may lose everything."""

import asyncio
import logging
import math
import secrets
import socket
import ssl
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from central import db
from central.inbox import intake, rules
from central.inbox.intake import Desk, Message, Taken
from models.wire.events import CentralState, Notice, Unreadable, from_json, to_json
from models.wire.topics import CENTRAL_STATE, EVENTS, STATES, Box, box_of

_log = logging.getLogger(__name__)
_RECEIVE_MAXIMUM = 256
"""Messages that the broker hands over before we answer: the only queue there is, and so the back-pressure."""
_COMMIT_BYTES = 512 << 10
"""What goes into one transaction: more would let a fresh pass wait, less would let each event pay for a commit."""
_VERDICT_EXPIRY_S = 2
_KEEPALIVE_S = 10
_VERSION_S = 0.5
_MOST_BOXES = 100_000
_RETRY_S = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class _Waiting:
    message: Message
    mid: int
    qos: int
    session: int
    number: int


def _properties(packet: int, **values: Any) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho's
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _no_delay(_client: mqtt.Client, _userdata: object, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer waits 42 ms for its ACK


class BadBroker(ValueError):
    """A broker's address that cannot be used; the message says how to write one."""


def check(url: str) -> tuple[SplitResult, int]:
    """The address's parts and its port. Raises BadBroker, without repeating a password."""
    parts = urlsplit(url)
    try:
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
    except ValueError:
        port = 0
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or not port:
        raise BadBroker("broker: write mqtt://host:1883 or mqtts://host:8883")
    return parts, port


class Link:
    """Call `start` and `stop` in the event loop; between them it connects again by itself."""

    def __init__(
        self,
        url: str,
        desk: Desk,
        touch: Callable[[str], None],
        known: ssl.SSLContext | None = None,
        *,
        version: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`version` names a site's newest snapshot; boxes are told when it has changed."""
        parts, port = check(url)
        self._version = version
        self._boxes: dict[Box, str] = {}
        self._desk = desk
        self._touch = touch
        self._boot = secrets.token_hex(4)
        self._session = 0
        self._number = 0
        self._counted: Counter[str] = Counter(new=0, known=0, dead=0, verdicts=0, commits=0, database_away=0)
        self._news: deque[_Waiting] = deque()
        self._history: deque[_Waiting] = deque()
        self._states: list[_Waiting] = []
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()  # bounded by Receive Maximum
        self._loop = asyncio.get_running_loop()
        self._work: list[asyncio.Task[None]] = []
        self._address = (str(parts.hostname), port)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"central-{self._boot}",
            protocol=mqtt.MQTTv5,
            manual_ack=True,
        )
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set_context(known or ssl.create_default_context())
        self._client.will_set(CENTRAL_STATE, self._state("offline"), qos=1, retain=True)
        self._client.reconnect_delay_set(min_delay=1, max_delay=4)
        self._client.on_socket_open = _no_delay
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def counters(self) -> dict[str, float]:
        """Since this process began."""
        return {
            **{f"inbox_{name}_total": number for name, number in self._counted.items()},
            "inbox_waiting": len(self._news) + len(self._history) + len(self._states),
            "broker_up": self.connected,
        }

    def start(self) -> None:
        self._work = [self._loop.create_task(work) for work in (self._answer(), self._tell_versions())]
        properties = _properties(PacketTypes.CONNECT, ReceiveMaximum=_RECEIVE_MAXIMUM, SessionExpiryInterval=0)
        host, port = self._address
        self._client.connect_async(host, port, keepalive=_KEEPALIVE_S, clean_start=True, properties=properties)
        self._client.loop_start()

    async def stop(self) -> None:
        """What is not answered yet will be sent again by its edge."""
        for work in self._work:
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if self._client.is_connected():
            # The will is kept back by a clean goodbye, so it is said in words.
            told = self._client.publish(CENTRAL_STATE, self._state("offline"), qos=1, retain=True)
            await asyncio.to_thread(told.wait_for_publish, 0.5)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _state(self, state: Any) -> bytes:
        return to_json(CentralState(state=state, boot=self._boot))

    # paho's thread from here …

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("the broker refuses us: %s; check its users and our name and password", reason)
            return
        self._session += 1
        _log.info("connected to the broker")
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in (EVENTS, STATES, CENTRAL_STATE)])
        client.publish(CENTRAL_STATE, self._state("online"), qos=1, retain=True)
        self._in_loop(self._forget_told)

    def _on_connect_fail(self, _client: mqtt.Client, _userdata: Any) -> None:
        _log.warning("broker away: nobody listens at %s:%d; is it running? trying again", *self._address)

    def _on_disconnect(self, _client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("connection to the broker lost: %s; connecting again", reason)

    def _on_message(self, client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == CENTRAL_STATE:
            self._another(client, message)
            return
        taken = Message(message.topic, bytes(message.payload), retained=message.retain)
        self._number += 1
        waiting = _Waiting(taken, message.mid, message.qos, self._session, self._number)
        self._in_loop(partial(self._queue.put_nowait, waiting))

    def _in_loop(self, act: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # the loop has ended; a message is not acked then, so it comes again
            _log.debug("something came after the end")

    def _another(self, client: mqtt.Client, message: mqtt.MQTTMessage) -> None:
        """A replica went. Central as a whole is there as long as one of us is, and an edge must not stop for one."""
        client.ack(message.mid, message.qos)
        try:
            told = from_json(bytes(message.payload), CentralState)
        except Unreadable:
            _log.warning("%s: not a state of ours", CENTRAL_STATE)
            return
        if told.state == "offline" and told.boot != self._boot:
            client.publish(CENTRAL_STATE, self._state("online"), qos=1, retain=True)

    # … to here

    async def _answer(self) -> None:
        history_next = False
        while True:
            if not (self._news or self._history or self._states):
                self._sort(await self._queue.get())
            while not self._queue.empty():
                self._sort(self._queue.get_nowait())
            # News first, and every second time history as well: neither waits for the end of the other.
            batch = _some(self._news, _COMMIT_BYTES)
            if history_next or not batch:
                batch += _some(self._history, _COMMIT_BYTES)
            history_next = not history_next
            taken = []
            if batch:
                taken.append(await self._insist(partial(intake.take, self._desk, _messages(batch))))
            # A state may ask what has come, so it waits for what came before it.
            first = min((queue[0].number for queue in (self._news, self._history) if queue), default=math.inf)
            states = [waiting for waiting in self._states if waiting.number < first]
            if states:
                del self._states[: len(states)]
                taken.append(await self._insist(partial(intake.take_states, self._desk.engine, _messages(states))))
            for one in taken:
                self._say(one)
                self._counted.update(new=one.new, known=one.known, dead=one.dead, verdicts=len(one.verdicts), commits=1)
            for waiting in (*batch, *states):
                self._ack(waiting)
            for topic in sorted({topic for one in taken for topic in one.touched}):
                self._touch(topic)

    def _sort(self, waiting: _Waiting) -> None:
        leaf = _leaf(waiting.message.topic)
        if leaf == "state":
            self._states.append(waiting)
            if len(self._boxes) < _MOST_BOXES:
                self._boxes.setdefault(box_of(waiting.message.topic), "")
        elif leaf == "event":
            is_news = rules.is_news(waiting.message.payload, datetime.now(UTC))
            (self._news if is_news else self._history).append(waiting)
        else:
            self._ack(waiting)

    def _forget_told(self) -> None:
        """The broker may have lost what it kept."""
        self._boxes = dict.fromkeys(self._boxes, "")

    async def _tell_versions(self) -> None:
        """A retained notice to each box whose snapshot has changed; it fetches then, and else seldom."""
        while True:
            await asyncio.sleep(_VERSION_S)
            if not self.connected:
                continue
            for box, told in list(self._boxes.items()):
                version = self._version(box.site)
                if version is not None and version != told:
                    self._boxes[box] = version
                    self._client.publish(box.snapshot, to_json(Notice(version=version)), qos=1, retain=True)

    def _ack(self, waiting: _Waiting) -> None:
        # A number of an earlier connection may stand for another message by now.
        if waiting.qos and waiting.session == self._session:
            self._client.ack(waiting.mid, waiting.qos)

    async def _insist(self, take: Callable[[datetime], Awaitable[Taken]]) -> Taken:
        """Until the database has it. Nothing is acked meanwhile, so the broker stops at Receive Maximum."""
        tries = 0
        while True:
            try:
                return await take(datetime.now(UTC))
            except Exception as error:  # noqa: BLE001  (whatever it is, events wait; a dead task would take none for ever)
                if not db.is_away(error):
                    _log.exception("the inbox itself is at fault; it tries again")
                self._counted["database_away"] += 1
                tries = await self._back_off(error, tries)

    async def _back_off(self, error: Exception, tries: int) -> int:
        pause_s = _RETRY_S[min(tries, len(_RETRY_S) - 1)]
        name = type(getattr(error, "orig", None) or error).__name__
        _log.warning("database away (%s): nothing is acknowledged, nothing is lost; again in %g s", name, pause_s)
        await asyncio.sleep(pause_s)
        return tries + 1

    def _say(self, taken: Taken) -> None:
        for box, verdict in taken.verdicts:
            expiring = _properties(
                PacketTypes.PUBLISH, MessageExpiryInterval=_VERDICT_EXPIRY_S, CorrelationData=verdict.scan.encode()
            )
            self._client.publish(box.verdict, to_json(verdict), qos=1, properties=expiring)
        for box, receipt in taken.receipts:
            self._client.publish(box.receipt, to_json(receipt), qos=1)


def _messages(waiting: Sequence[_Waiting]) -> list[Message]:
    return [one.message for one in waiting]


def _some(waiting: deque[_Waiting], most_bytes: int) -> list[_Waiting]:
    """The first of them, at least one if there is any."""
    taken: list[_Waiting] = []
    size = 0
    while waiting and (not taken or size + len(waiting[0].message.payload) <= most_bytes):
        taken.append(waiting.popleft())
        size += len(taken[-1].message.payload)
    return taken


def _leaf(topic: str) -> str:
    try:
        box_of(topic)
    except ValueError:
        return ""
    return topic.rpartition("/")[2]
