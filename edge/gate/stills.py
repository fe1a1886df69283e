"""The newest picture of each street, brought to central now and then. RAM only; a newer one takes its place."""

import logging
import random
import ssl
import threading

import httpx

from edge.sighting import Still
from models.wire.topics import Box

log = logging.getLogger(__name__)


class Stills:
    """`put` whatever comes; a thread brings the newest of each camera every `every_s`, or leaves it."""

    def __init__(self, http: str, box: Box, *, every_s: float, known: ssl.SSLContext | None = None) -> None:
        self._box = box
        self._every_s = every_s
        self._client = httpx.Client(base_url=http, timeout=5.0, trust_env=False, verify=known or True)
        self._newest: dict[str, Still] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._bring_all, name="stills", daemon=True)
        self.brought = 0
        self.failed = 0
        """Pictures that central did not take; the next one is tried at its time."""

    def start(self) -> None:
        self._thread.start()

    def put(self, still: Still) -> None:
        with self._lock:
            self._newest[still.camera] = still

    def close(self, timeout_s: float = 1.0) -> None:
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._client.close()

    def _bring_all(self) -> None:
        # boxes that start together must not all come at the same moment
        while not self._closing.wait(self._every_s * random.uniform(0.8, 1.2)):  # noqa: S311  (jitter, not a secret)
            with self._lock:
                taken, self._newest = self._newest, {}
            for still in taken.values():
                if self._closing.is_set():
                    return
                self._bring(still)

    def _bring(self, still: Still) -> None:
        where = f"/stills/{self._box.site}/{self._box.edge}/{still.camera}"
        headers = {"Content-Type": "image/jpeg", "Taken-At": still.seen_at.isoformat()}
        try:
            answer = self._client.put(where, content=still.jpeg, headers=headers)
        except httpx.HTTPError as error:
            self.failed += 1
            log.debug("a still was not brought (%s)", type(error).__name__)
            return
        if answer.is_success:
            self.brought += 1
        else:
            self.failed += 1
