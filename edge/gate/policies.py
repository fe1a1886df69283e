"""The policies of a box: each held against central's signature before it is used; a bad one leaves those before in use.

They lie open on the disk, under the hash that every decision names: what a decree says is no secret.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from models.passes.policy import BadPolicy, Policy, parse
from models.wire.policy import verify
from models.wire.snapshot import Untrusted

log = logging.getLogger(__name__)


class Policies:
    """`current` is what to choose from, by the hour. `ask` gets a signed policy of central by its hash."""

    def __init__(self, folder: Path, sign_key: Ed25519PublicKey, ask: Callable[[str], bytes]) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._sign_key = sign_key
        self._ask = ask
        self.current: tuple[Policy, ...] = ()
        self.refused = 0

    def take_up(self) -> None:
        """What lay there when the program ended."""
        kept = (self._kept(path) for path in sorted(self._folder.glob("*.policy")))
        self.current = tuple(policy for policy in kept if policy)

    def update(self, hashes: Sequence[str]) -> bool:
        """Those that central names, fetched where they are not here. True when the choice has changed.

        While one of them cannot be used, those before stay beside the good ones. What `ask` raises but Untrusted
        is passed on, and nothing has changed then.
        """
        held = {policy.id: policy for policy in self.current}
        named = [held.get(sha256) or self._kept(self._path(sha256)) or self._fetched(sha256) for sha256 in hashes]
        good = {policy.id: policy for policy in named if policy}
        chosen = good if len(good) == len(set(hashes)) and good else held | good
        if chosen.keys() == held.keys():
            return False
        self.current = tuple(chosen.values())
        for path in self._folder.iterdir():
            if path.stem not in chosen:
                path.unlink()
        return True

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.policy"

    def _read(self, sha256: str, signed: bytes) -> Policy:
        return parse(verify(signed, self._sign_key, sha256=sha256), name=f"policy {sha256[:12]}")

    def _kept(self, path: Path) -> Policy | None:
        try:
            return self._read(path.stem, path.read_bytes())
        except FileNotFoundError:
            return None
        except (Untrusted, BadPolicy, OSError) as error:
            log.warning("policies: what lies on the disk is left out: %s", error)
            return None

    def _fetched(self, sha256: str) -> Policy | None:
        try:
            signed = self._ask(sha256)
            policy = self._read(sha256, signed)
        except (Untrusted, BadPolicy) as error:
            self.refused += 1
            log.error("policies: refused, those before stay: %s", error)  # noqa: TRY400  (its words suffice)
            return None
        partial = self._path(sha256).with_suffix(".part")
        partial.write_bytes(signed)
        partial.replace(self._path(sha256))
        return policy
