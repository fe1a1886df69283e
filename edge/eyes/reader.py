"""Codes are read in a process of their own: a picture that holds the reader up costs one picture, not the lane.

A wall of finder patterns, held up by chance or on purpose, keeps a reader busy for most of a second.
"""

import contextlib
import ctypes
import logging
import multiprocessing
import signal
import time
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, Protocol

import msgspec
import numpy as np

from edge.eyes.frame import Pixels
from models.vision.qr import Look, PyzbarReader, QrReader, Reader, Region

DEADLINE_S = 0.1
"""Of the reader's own time on a processor: a box that is busy elsewhere must not kill it."""
WALL_S = 1.0
START_S = 20.0
_NOTHING = Look(codes=(), located=())
_MOST_BYTES = 1 << 20
_USUAL_PX = 1 << 21
"""Room for 1080p; a larger picture makes more, once."""

_log = logging.getLogger(__name__)
_context = multiprocessing.get_context("forkserver")
# a reader is forked from a server that has loaded and built everything: it is there in some milliseconds
_context.set_forkserver_preload(["edge.eyes.warm"])


class Reads(Protocol):
    """What a checkpoint's watch asks of its reader."""

    given_up: int
    """Pictures that were not read to their end."""

    def look(
        self, y: Pixels, region: Region | None = None, *, stirred: Sequence[Region] = (), brief: bool = False
    ) -> Look: ...


class _Question(msgspec.Struct, frozen=True):
    height: int
    width: int
    region: Region | None
    stirred: list[Region]
    brief: bool


def _second() -> Reader | None:
    """pyzbar, where its library is; its assertions may end the process that it lives in, so it lives in the child."""
    try:
        return PyzbarReader()
    except RuntimeError as error:
        _log.warning("no second reader: %s", error)
        return None


def _serve(connection: Connection, pixels: Any, with_second: bool) -> None:
    """The child: answers until the other end is gone, which is the eye's to decide, not a Ctrl-C's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader, memory = QrReader(second=_second() if with_second else None), np.frombuffer(pixels, np.uint8)
    with contextlib.suppress(EOFError, OSError):
        connection.send_bytes(b"ready")
        while True:
            asked = msgspec.msgpack.decode(connection.recv_bytes(_MOST_BYTES), type=_Question)
            y = memory[: asked.height * asked.width].reshape(asked.height, asked.width)
            look = reader.look(y, asked.region, stirred=asked.stirred, brief=asked.brief)
            connection.send_bytes(msgspec.msgpack.encode(look))


def _processor_s(pid: int) -> float:
    """Seconds that a process has spent on processors (the clock that Linux keeps for each process)."""
    return time.clock_gettime((~pid << 3) | 2)


def _end(process: ForkServerProcess, connection: Connection) -> None:
    process.kill()
    process.join()
    process.close()
    connection.close()


class GuardedReader:
    """`QrReader.look` with an end to it. One thread asks."""

    def __init__(self, *, with_second: bool = False) -> None:
        self.given_up = 0
        self._with_second = with_second
        self._pixels: Any = _context.RawArray(ctypes.c_uint8, _USUAL_PX)
        self._start()

    def look(
        self, y: Pixels, region: Region | None = None, *, stirred: Sequence[Region] = (), brief: bool = False
    ) -> Look:
        """As QrReader's; empty when the picture took too long, and the next one meets a new reader."""
        if y.size > len(self._memory):
            self._pixels = _context.RawArray(ctypes.c_uint8, 1 << y.size.bit_length())
            self._restart()
        height, width = y.shape
        self._memory[: y.size].reshape(height, width)[:] = y
        question = _Question(height, width, region, list(stirred), brief)
        try:
            if not self._is_ready:
                self._wait_until_ready()
            self._connection.send_bytes(msgspec.msgpack.encode(question))
            return self._answer()
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            self.given_up += 1
            _log.warning("a picture was given up: %s; %d so far", str(error) or type(error).__name__, self.given_up)
            self._restart()
            return _NOTHING

    def _answer(self) -> Look:
        began_s, worked_s = time.monotonic(), _processor_s(self._pid)
        left_s = DEADLINE_S
        while not self._connection.poll(max(left_s, 0.005)):
            left_s = DEADLINE_S - (_processor_s(self._pid) - worked_s)
            if left_s <= 0 or time.monotonic() - began_s > WALL_S:
                raise TimeoutError("it held the reader up")
        return msgspec.msgpack.decode(self._connection.recv_bytes(_MOST_BYTES), type=Look)

    def _start(self) -> None:
        ours, theirs = _context.Pipe()
        process = _context.Process(
            target=_serve, args=(theirs, self._pixels, self._with_second), name="reader", daemon=True
        )
        process.start()
        theirs.close()
        assert process.pid is not None
        self._pid = process.pid
        self._memory = np.frombuffer(self._pixels, np.uint8)
        self._connection = ours
        self._is_ready = False
        self._ending = weakref.finalize(self, _end, process, ours)

    def _wait_until_ready(self) -> None:
        if not self._connection.poll(START_S):
            raise TimeoutError("the reader did not start")
        self._connection.recv_bytes(_MOST_BYTES)
        self._is_ready = True

    def _restart(self) -> None:
        self._ending()
        self._start()
