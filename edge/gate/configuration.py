"""The box's own file. Central sends a whole new one; the box checks it and goes by it, or the old one stays."""

import hashlib
import logging
import os
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.settings import EdgeSettings
from models.document import BadDocument, parse
from models.wire import config as wire
from models.wire.snapshot import Untrusted

log = logging.getLogger(__name__)


class Configuration:
    """`take` a document from central. What cannot be used is counted and said in `refused`, and nothing changes."""

    def __init__(self, path: Path, settings: EdgeSettings, sign_key: bytes | None) -> None:
        self._path = path
        self._settings = settings
        self._key = None if sign_key is None else Ed25519PublicKey.from_public_bytes(sign_key)
        self._sent = path.with_suffix(".sent")
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        """Of the file in force."""
        self.refusals = 0
        self.refused: str | None = None
        """Why the last one was refused; None once one was taken."""

    def take(self, document: bytes) -> EdgeSettings | None:
        """The settings to go by from now on; None when they are the present ones, or unusable."""
        try:
            told, settings = self._read(document)
        except (Untrusted, BadDocument) as error:
            self.refusals += 1
            self.refused = str(error)
            log.error("configuration: refused, the old one stays: %s", error)  # noqa: TRY400  (its words suffice)
            return None
        self.refused = None
        raw = told.yaml.encode()
        if hashlib.sha256(raw).hexdigest() == self.sha256:
            return None
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        self._sent.write_text(told.at.isoformat(), encoding="utf-8")
        self.sha256 = hashlib.sha256(raw).hexdigest()
        self._settings = settings
        log.info("configuration: %s taken", self.sha256[:12])
        return settings

    def text(self) -> str:
        """The file in force."""
        return self._path.read_text(encoding="utf-8")

    def check(self, yaml: str) -> str | None:
        """Why this file would be refused; None when it would be taken."""
        try:
            self._parsed(yaml)
        except BadDocument as error:
            return str(error)
        return None

    def _read(self, document: bytes) -> tuple[wire.Configuration, EdgeSettings]:
        if self._key is None:
            raise Untrusted("no `sign_key` in the file: whose configuration it is cannot be known; write it by hand")
        own = self._settings
        told = wire.verify(document, self._key, site=own.site, edge=own.edge)
        if self._sent.exists() and told.at < datetime.fromisoformat(self._sent.read_text(encoding="utf-8")):
            raise Untrusted("older than the one in force")
        return told, self._parsed(told.yaml)

    def _parsed(self, yaml: str) -> EdgeSettings:
        settings = parse(yaml, EdgeSettings, name=self._path.name)
        for name in ("site", "edge", "data", "central", "screen"):
            if getattr(settings, name) != getattr(self._settings, name):
                raise BadDocument(
                    f"{self._path.name}: {name}: cannot change while the box runs; change the file by hand"
                )
        return settings
