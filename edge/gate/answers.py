"""What central asks while somebody waits at a page: answered beside the work, never in its way."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import UNSET

from edge.gate.configuration import Configuration
from edge.sighting import Still
from models.wire.command import Answer, Command, close, verify
from models.wire.snapshot import Untrusted
from models.wire.topics import Box

log = logging.getLogger(__name__)

_FRESH = timedelta(seconds=60)
_MOST_WAITING = 8
_PROBE_S = 28.0


class Answers:
    """`take` a command; `say(id, sealed answer)` is called on a thread of ours. What is no command of central's for
    this box is counted in `refused` and gets no answer. `escort` says whether there is such a zone.
    """

    def __init__(
        self,
        box: Box,
        sign_key: bytes | None,
        seal_key: bytes,
        *,
        configuration: Configuration,
        still: Callable[[str], Still | None],
        escort: Callable[[str, str, datetime], bool],
        say: Callable[[str, str], None],
    ) -> None:
        self._box = box
        self._sign_key = None if sign_key is None else Ed25519PublicKey.from_public_bytes(sign_key)
        self._seal_key = seal_key
        self._configuration = configuration
        self._still = still
        self._escort = escort
        self._say = say
        self.refused = 0
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._probing = threading.Lock()
        self._probe: subprocess.Popen[bytes] | None = None
        self._work = ThreadPoolExecutor(2, thread_name_prefix="answers")

    def take(self, document: bytes) -> None:
        if self._sign_key is None:
            self.refused += 1
            log.error("command: refused: no `sign_key` in the file: whose command it is cannot be known")
            return
        try:
            command = verify(document, self._sign_key, site=self._box.site, edge=self._box.edge)
        except Untrusted as error:
            self.refused += 1
            log.error("command: refused: %s", error)  # noqa: TRY400  (its words suffice)
            return
        if not self._waiting.acquire(blocking=False):
            self.refused += 1
            return
        self._work.submit(self._serve, command)

    def close(self) -> None:
        if (probe := self._probe) is not None:
            probe.kill()
        self._work.shutdown(cancel_futures=True)

    def _serve(self, command: Command) -> None:
        try:
            self._say(command.id, close(self._answer(command), self._seal_key))
        except OSError as error:
            log.warning("command: %s is not answered (%s)", command.ask, type(error).__name__)
        finally:
            self._waiting.release()

    def _answer(self, command: Command) -> Answer:  # noqa: PLR0911  (an answer each)
        if abs(datetime.now(UTC) - command.at) > _FRESH:
            return Answer(id=command.id, fault="clock")
        match command.ask:
            case "config":
                return Answer(id=command.id, yaml=self._configuration.text())
            case "check":
                refused = self._configuration.check("" if command.yaml is UNSET else command.yaml)
                return Answer(id=command.id, refused=UNSET if refused is None else refused)
            case "still":
                still = None if command.camera is UNSET else self._still(command.camera)
                if still is None:
                    return Answer(id=command.id, fault="no_picture")
                bodies = UNSET if still.bodies is None else still.bodies
                return Answer(id=command.id, jpeg=still.jpeg, seen_at=still.seen_at, bodies=bodies)
            case "escort":
                return self._escorted(command)
            case "probe":
                return self._tried(command)

    def _escorted(self, command: Command) -> Answer:
        camera, zone, until = command.camera, command.zone, command.until
        known = camera is not UNSET and zone is not UNSET and until is not UNSET and self._escort(camera, zone, until)
        return Answer(id=command.id, fault=UNSET if known else "zone")

    def _tried(self, command: Command) -> Answer:
        """By a process of its own, as everything that parses what strangers send; by its stdin, because everybody on
        the box can read a command line.
        """
        if not self._probing.acquire(blocking=False):
            return Answer(id=command.id, fault="busy")
        try:
            self._probe = subprocess.Popen(
                [sys.executable, "-m", "edge", "doctor", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            asked: dict[str, Any] = {"camera": {} if command.settings is UNSET else command.settings}
            for name in ("lens_degrees", "distance_m"):
                if (value := getattr(command, name)) is not UNSET:
                    asked[name] = value
            try:
                told, _ = self._probe.communicate(json.dumps(asked).encode(), _PROBE_S)
                found = json.loads(told)
            except (subprocess.TimeoutExpired, ValueError):
                self._probe.kill()
                self._probe.wait()
                return Answer(id=command.id, fault="probe")
            if "refused" in found:
                return Answer(id=command.id, refused=str(found["refused"]))
            return Answer(id=command.id, found=found)
        finally:
            self._probe = None
            self._probing.release()
