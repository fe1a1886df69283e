"""Questions to a box while somebody waits at a page, and its new file; over a connection of their own to the broker."""

import asyncio
import logging
import secrets
import ssl
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from central.inbox.link import check
from central.keys import Keys
from models.wire.command import EXPIRY_S, Answer, Command, sign
from models.wire.config import Configuration
from models.wire.config import sign as sign_config
from models.wire.seal import Unopenable
from models.wire.topics import Box

_log = logging.getLogger(__name__)
_ANSWERS = "v1/+/+/answer"
_KEEPALIVE_S = 10
_QUICK_S = 8.0
_TAKES_S = 10.0
_AGAIN_S = 0.3


class NoAnswer(Exception):
    """The box says nothing in time, or the broker is away; nothing has changed."""


class NotTaken(Exception):
    """The box was sent a new file and still goes by another; it takes it when it can, or says in its state why not."""


class Boxes:
    """`start` and `stop` in the event loop. Every replica has one: the answer comes to the one that asked."""

    def __init__(self, url: str, keys: Keys, known: ssl.SSLContext | None = None) -> None:
        parts, self._port = check(url)
        self._host = str(parts.hostname)
        self._keys = keys
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"central-asks-{secrets.token_hex(4)}", protocol=mqtt.MQTTv5
        )
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set_context(known or ssl.create_default_context())
        self._client.reconnect_delay_set(min_delay=1, max_delay=8)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._client.connect_async(self._host, self._port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    async def stop(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def ask(self, box: Box, ask: Any, *, seconds: float = _QUICK_S, **more: Any) -> Answer:
        """Raises NoAnswer."""
        if self._loop is None or not self._client.is_connected():
            raise NoAnswer
        told = Command(site=box.site, edge=box.edge, id=secrets.token_hex(8), at=datetime.now(UTC), ask=ask, **more)
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
        properties.MessageExpiryInterval = EXPIRY_S
        properties.CorrelationData = told.id.encode()
        waits: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[told.id] = waits
        try:
            self._client.publish(box.command, sign(told, self._keys.sign), qos=1, properties=properties)
            async with asyncio.timeout(seconds):
                return await waits
        except TimeoutError as error:
            raise NoAnswer from error
        finally:
            self._waiting.pop(told.id, None)

    async def file_of(self, box: Box) -> str:
        """What it goes by now. Raises NoAnswer."""
        answer = await self.ask(box, "config")
        if not isinstance(answer.yaml, str):
            raise NoAnswer
        return answer.yaml

    async def send(self, box: Box, text: str) -> None:
        """A new file, kept by the broker until the box has it; returns when the box goes by it. Raises NotTaken."""
        told = Configuration(site=box.site, edge=box.edge, at=datetime.now(UTC), yaml=text)
        self._client.publish(box.config, sign_config(told, self._keys.sign), qos=1, retain=True)
        ends = asyncio.get_running_loop().time() + _TAKES_S
        while asyncio.get_running_loop().time() < ends:
            try:
                if await self.file_of(box) == text:
                    return
            except NoAnswer:
                break
            await asyncio.sleep(_AGAIN_S)
        raise NotTaken

    # paho's thread

    def _on_connect(self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.warning("the broker refuses our questions to boxes: %s", reason)
            return
        client.subscribe(_ANSWERS, qos=1)

    def _on_message(self, _client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        try:
            answer = self._keys.answer(bytes(message.payload).decode("ascii"))
        except (Unopenable, UnicodeDecodeError):
            _log.warning("%s: %d bytes that are no answer to us", message.topic, len(message.payload))
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hear, answer)

    def _hear(self, answer: Answer) -> None:
        waits = self._waiting.get(answer.id)
        if waits is not None and not waits.done():
            waits.set_result(answer)
