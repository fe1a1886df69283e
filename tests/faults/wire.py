"""The line between boxes and broker, with everything that lines do: it is cut, reset, goes silent, slow or half dead,
says things twice and swallows answers. It knows where an MQTT packet ends, and nothing else of it.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Literal

Fault = Literal["cut", "reset", "black_hole", "throttle", "half_open"]
FAULTS: tuple[Fault, ...] = ("cut", "reset", "black_hole", "throttle", "half_open")
_PUBLISH = 3
_SLOW_BYTES = 2048
_SLOW_S = 0.05


async def packets(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Whole MQTT packets, until the line ends."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(1)
            length, shift = 0, 0
            while True:
                byte = await reader.readexactly(1)
                head += byte
                length |= (byte[0] & 0x7F) << shift
                shift += 7
                if not byte[0] & 0x80:
                    break
            yield head + await reader.readexactly(length)


class Wire:
    """A thread of its own. `port` is where boxes connect; the shares are of packets, by the seed."""

    def __init__(self, broker: int, *, seed: int, replayed: float = 0.0, dropped_receipts: float = 0.0) -> None:
        self._broker = broker
        self._dice = random.Random(seed)
        self._replayed, self._dropped = replayed, dropped_receipts
        self._silent = self._slow = False
        self._lines: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._half: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self.counted = {"connections": 0, "replayed": 0, "receipts_dropped": 0}
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="wire", daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def _do(self, what: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(what)

    def suffer(self, fault: Fault) -> None:
        """From now on; `heal` ends what lasts."""
        self._do({
            "cut": self._cut, "reset": self._reset, "half_open": self._half_open,
            "black_hole": lambda: setattr(self, "_silent", True), "throttle": lambda: setattr(self, "_slow", True),
        }[fault])  # fmt: skip

    def heal(self) -> None:
        self._do(self._heal)

    def calm(self) -> None:
        """No packet is said twice or swallowed any more."""
        self._replayed = self._dropped = 0.0
        self.heal()

    def close(self) -> None:
        self._do(self._loop.stop)
        self._thread.join(10)

    def _cut(self) -> None:
        for line in self._lines:
            for end in line:
                end.close()

    def _reset(self) -> None:
        for line in self._lines:
            for end in line:
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()

    def _half_open(self) -> None:
        """The broker's side is gone and the box is not told: it finds out by its own keepalive."""
        self._half |= self._lines
        for _, up in self._lines:
            up.transport.abort()

    def _heal(self) -> None:
        for down, _ in self._half:
            down.close()
        self._half.clear()
        if self._silent:
            self._cut()  # what was swallowed is missing in the stream
        self._silent = self._slow = False

    async def _serve(self, reader: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
        self.counted["connections"] += 1
        try:
            from_broker, up = await asyncio.open_connection("127.0.0.1", self._broker)
        except OSError:
            down.close()
            return
        line = (down, up)
        self._lines.add(line)
        try:
            pumps = {
                asyncio.ensure_future(self._pump(reader, up, upward=True)),
                asyncio.ensure_future(self._pump(from_broker, down, upward=False)),
            }
            _, others = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            while line in self._half and await reader.read(65536):
                pass  # whatever the box says, nobody hears it
        finally:
            self._lines.discard(line)
            for end in line:
                end.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, upward: bool) -> None:
        async for packet in packets(source):
            if self._silent:
                continue
            is_publish = packet[0] >> 4 == _PUBLISH
            if is_publish and not upward and b"/receipt" in packet[:80] and self._dice.random() < self._dropped:
                self.counted["receipts_dropped"] += 1
                continue
            again = is_publish and upward and self._dice.random() < self._replayed
            self.counted["replayed"] += again
            for _ in range(1 + again):
                for start in range(0, len(packet), _SLOW_BYTES):
                    if self._slow:
                        await asyncio.sleep(_SLOW_S)
                    sink.write(packet[start : start + _SLOW_BYTES])
            try:
                await sink.drain()
            except ConnectionError:
                return
