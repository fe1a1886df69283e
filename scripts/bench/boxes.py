"""Very many boxes in one process: the real protocol, no pixels. Each keeps its events until a receipt names them."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from edge.gate.uuid7 import uuid7
from models.wire import events, topics
from tests.faults import edge as sim

_KEEPALIVE_S = 60
_LINGER_S = 0.25
_BATCH = 200
_RESEND_S = 5.0
_PUBLISH, _SUBACK = 3, 9


def _field(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def _packet(kind: int, body: bytes) -> bytes:
    length, coded = len(body), bytearray()
    while True:
        length, rest = divmod(length, 128)
        coded.append(rest | (0x80 if length else 0))
        if not length:
            return bytes([kind]) + bytes(coded) + body


class SimBox:
    """One box. `on_receipt` hears the seconds from an event's birth to its receipt."""

    def __init__(self, name: str, port: int, on_receipt: Callable[[float], None], dice: random.Random) -> None:
        self.box = topics.Box("bench", name)
        self._port = port
        self._on_receipt = on_receipt
        self._dice = dice
        self._epoch, self._boot = uuid7()[-12:], uuid7()
        self._sequence = self._mid = 0
        self.waiting: dict[int, tuple[float, bytes]] = {}
        """Not receipted: sequence -> born at, body."""
        self._unsent: list[int] = []
        self._sent: dict[int, float] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._urgent = asyncio.Event()
        self.made: list[str] = []
        self.connects = 0

    def put(self, kind: str) -> None:
        """An event happens."""
        self._sequence += 1
        data, name = sim.data_of(kind, self._sequence, self._dice, None), uuid7()
        body = sim.maker(self.box, f"cam-{self._sequence % 10}", data, name, datetime.now(UTC))(
            self._sequence, self._epoch
        )
        self.waiting[self._sequence] = time.monotonic(), body
        self._unsent.append(self._sequence)
        self.made.append(name)
        if sim.urgency_of(data) == "now":
            self._urgent.set()

    async def run(self) -> None:
        """Connect, again and again, with jitter."""
        while True:
            try:
                await self._connected()
            except (OSError, asyncio.IncompleteReadError):
                self._writer = None
                await asyncio.sleep(self._dice.uniform(0.5, 5.0))

    async def _connected(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        will = events.to_json(events.EdgeState(state="offline", boot=self._boot))
        head = (
            _field(b"MQTT") + b"\x05\x26" + _KEEPALIVE_S.to_bytes(2, "big") + b"\x00"
        )  # clean, a retained will, QoS 0
        body = head + _field(self.box.edge.encode()) + b"\x00" + _field(self.box.state.encode()) + _field(will)
        writer.write(_packet(0x10, body))
        writer.write(_packet(0x82, b"\x00\x01\x00" + _field(self.box.receipt.encode()) + b"\x01"))
        self._unsent, self._sent = list(self.waiting), {}
        hearing = asyncio.create_task(self._hear(reader, writer))
        try:
            await asyncio.gather(hearing, self._speak(writer))
        finally:
            hearing.cancel()
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind = (await reader.readexactly(1))[0]
            length = shift = 0
            while True:
                byte = (await reader.readexactly(1))[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            body = await reader.readexactly(length)
            if kind >> 4 == _PUBLISH:
                size = int.from_bytes(body[:2], "big")
                rest = body[2 + size :]
                if kind & 0x06:
                    writer.write(_packet(0x40, rest[:2]))
                    rest = rest[2:]
                self._receipt(events.from_json(rest[1 + rest[0] :], events.Receipt))
            elif kind >> 4 == _SUBACK:
                self.connects += 1
                self._writer = writer
                state = events.EdgeState(
                    state="online", boot=self._boot, at=datetime.now(UTC), epoch=self._epoch, waiting=len(self.waiting)
                )
                writer.write(_packet(0x31, _field(self.box.state.encode()) + b"\x00" + events.to_json(state)))

    def _receipt(self, receipt: events.Receipt) -> None:
        now = time.monotonic()
        for first, last in receipt.ranges:
            for number in range(first, last + 1):
                if (born := self.waiting.pop(number, None)) is not None:
                    self._on_receipt(now - born[0])
                    self._sent.pop(number, None)

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        pinged = time.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), _LINGER_S)
            self._urgent.clear()
            now = time.monotonic()
            if self._writer is None:
                if writer.transport.is_closing():
                    raise ConnectionResetError
                continue
            if late := [number for number, at in self._sent.items() if now - at > _RESEND_S]:
                self._unsent += late
            while self._unsent:
                batch = [number for number in self._unsent[:_BATCH] if number in self.waiting]
                del self._unsent[:_BATCH]
                if not batch:
                    continue
                self._mid = self._mid % 65_535 + 1
                told = events.join([self.waiting[number][1] for number in batch])
                body = _field(self.box.event.encode()) + self._mid.to_bytes(2, "big") + b"\x00" + told
                writer.write(_packet(0x32, body))
                self._sent |= dict.fromkeys(batch, now)
            if now - pinged > _KEEPALIVE_S / 2:
                pinged = now
                writer.write(_packet(0xC0, b""))
            await writer.drain()
