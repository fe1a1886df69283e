"""`python -m edge.eyes --fd N`: an eye on the gate's socket. It holds no key of central and writes no file.

The first message is JSON: `{"cameras": [settings, …], "boot": name, "escorts": {camera: {zone: until}}}`; from then on
the eye speaks, and each further one says what to watch from now on. It ends when the gate closes the socket, or on
SIGTERM. Sources come by the socket because a command line can be read by everybody on the box.
"""

import argparse
import json
import logging
import os
import secrets
import signal
import sys
import threading
import traceback
from datetime import datetime
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NoReturn

import cv2
import msgspec

from edge.eyes.eye import Eye
from edge.settings import Camera
from models.address import redact
from models.vision.detector import Unusable

_log = logging.getLogger("edge.eyes")


def _end(status: int) -> NoReturn:
    """At once: nothing here outlives the process, and a thread inside FFmpeg would hold an orderly end for seconds."""
    sys.stderr.flush()
    os._exit(status)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    _end(0)


def _on_crash(args: threading.ExceptHookArgs) -> None:
    """A thread has died of a fault of ours: say where, without any value, and let the gate start a new eye."""
    places = "; ".join(f"{entry.filename}:{entry.lineno}" for entry in traceback.extract_tb(args.exc_traceback)[-3:])
    name = "a thread" if args.thread is None else args.thread.name
    _log.critical("%s died: %s at %s", name, args.exc_type.__name__, redact(places))
    _end(1)


def _on_stuck(camera: str) -> NoReturn:
    _log.critical("camera %s: its reader hangs; ending, so that the gate starts a new eye", camera)
    _end(3)


def _escorts(told: dict[str, Any]) -> dict[str, dict[str, datetime]]:
    return msgspec.convert(told.get("escorts", {}), dict[str, dict[str, datetime]])


def main(argv: list[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m edge.eyes", description="Watch cameras and tell the gate.")
    parser.add_argument("--fd", type=int, required=True, help="the socket to the gate, inherited")
    arguments = parser.parse_args(argv)
    # when it was said, the gate says
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the gate ends us in its order
    threading.excepthook = _on_crash
    cv2.setNumThreads(1)  # the cameras are the parallelism
    connection = Connection(arguments.fd)
    try:
        first = json.loads(connection.recv_bytes())
        cameras = tuple(Camera.model_validate(camera) for camera in first["cameras"])
        boot = str(first["boot"])
    except EOFError:
        _end(0)
    except (ValueError, KeyError, TypeError) as error:
        _log.critical("the gate's first message is no list of cameras (%s)", type(error).__name__)
        _end(2)
    try:
        eye = Eye(cameras, connection, key=secrets.token_bytes(32), on_stuck=_on_stuck)
    except Unusable as error:
        _log.critical("%s", error)
        _end(2)
    _log.info("boot %s: eye %d watches %s", boot, os.getpid(), ", ".join(camera.id for camera in cameras))
    eye.escort(_escorts(first))
    eye.start()
    try:
        while True:
            again = json.loads(connection.recv_bytes())
            eye.set(tuple(Camera.model_validate(camera) for camera in again["cameras"]))
            eye.escort(_escorts(again))
    except (EOFError, OSError):
        _end(0)
    except Unusable as error:
        _log.critical("%s", error)
        _end(2)


if __name__ == "__main__":
    main()
