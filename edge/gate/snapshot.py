"""What the gate decides with when nobody can be asked: fetched from central, closed on the disk, open in memory only.

A thread asks for the gate's document, fetches the files that it names (going on where the line broke) and swaps the
whole in one step; what is there stays in use until then. The private key of the box lies in memory: whoever copies the
disk opens nothing.
"""

import hashlib
import hmac
import logging
import os
import random
import ssl
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.gate.policies import Policies
from models.passes import trust
from models.passes.packing import BadPack, Carried, Packed, key_of
from models.passes.policy import Policy, in_force
from models.passes.revocation import NONE_REVOKED, BadRevocations, Revocations
from models.wire import parcel, seal, topics
from models.wire import snapshot as wire
from models.wire.events import Notice

log = logging.getLogger(__name__)

_EVERY_S = 60.0
"""Central says over MQTT when there is something newer; this is for when that does not come."""
_SPREAD_S = 1.0
"""A whole city's boxes hear of it at once, and do not ask at once."""
_TRIES = 5
_CLOSED_S = 60.0
_FIRST_BACK_OFF_S = 0.5
_LAST_BACK_OFF_S = 30.0
_MEMORY = {"tmpfs", "ramfs"}
_CANNOT_BE_READ = (seal.Unopenable, parcel.BadParcel, BadPack, BadRevocations, trust.Untrusted)


class Unusable(ValueError):
    """A snapshot that cannot be opened; the message says why. What was in use before stays so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent state of what central knows."""

    as_of: datetime
    policies: tuple[Policy, ...]
    people: tuple[Packed, ...]
    """The newest lines first."""
    keys: trust.Keys = trust.NO_KEYS
    """Whose signatures on codes count."""
    revoked: Revocations = NONE_REVOKED
    officers: tuple[wire.Officer, ...] = ()
    """Who may decide otherwise, by a PIN."""
    seal_key: bytes | None = None
    """Central's present key to seal to; it may be newer than the one in the box's file."""
    secret: bytes = field(repr=False)

    @property
    def is_complete(self) -> bool:
        """Whoever is not in it is in no registry."""
        return all(packed.header.complete for packed in self.people)

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(self.people[-1].header.kinds)

    def policy(self, now: datetime) -> Policy | None:
        """The one in force."""
        return in_force(self.policies, now)

    def find(self, ids: Sequence[tuple[str, str]]) -> Carried | None:
        """Whom the first known number belongs to; they come best first."""
        for kind, value in ids:
            key = key_of(self.secret, kind, value)
            for packed in self.people:
                if (row := packed.find(key)) is not None:
                    return packed.read(row)
        return None


class Pins:
    """Who has shown a right PIN. After five wrong ones nobody is let in for a minute: a PIN has few digits."""

    def __init__(self) -> None:
        self._wrong = 0
        self._closed_until = 0.0

    def fits(self, officers: Sequence[wire.Officer], name: str, pin: str, *, now: float) -> bool:
        """`now` is monotonic seconds."""
        if now < self._closed_until:
            return False
        known = next((officer for officer in officers if officer.name == name), None)
        if known is not None and hmac.compare_digest(wire.pin_hash(pin, known.salt), known.hash):
            self._wrong = 0
            return True
        self._wrong += 1
        if self._wrong >= _TRIES:
            self._wrong, self._closed_until = 0, now + _CLOSED_S
        return False


def _opened(told: wire.Snapshot, folder: Path, own: X25519PrivateKey, policies: tuple[Policy, ...]) -> Snapshot:
    """Decrypt and read everything. Raises Unusable."""
    try:
        opening = msgspec.json.decode(
            seal.open_(told.sealed, {seal.key_id(own.public_key().public_bytes_raw()): own}), type=wire.Opening
        )
        parts: dict[str, list[bytearray]] = {}
        for part in told.parts:
            with (folder / part.sha256).open("rb") as file:
                parts.setdefault(part.kind, []).append(parcel.unwrap(file, opening.keys[part.sha256]))
        revoked = NONE_REVOKED
        for document in parts.get("revoked", []):  # a whole list, then what changed
            revoked = revoked.updated(bytes(document))
        return Snapshot(
            as_of=told.as_of,
            policies=policies,
            people=tuple(Packed(data) for kind in ("delta", "base") for data in parts.get(kind, [])),
            keys=trust.read_list(bytes(parts["trust"][0])) if "trust" in parts else trust.NO_KEYS,
            revoked=revoked,
            officers=tuple(
                officer
                for listed in parts.get("officers", [])
                for officer in msgspec.json.decode(listed, type=list[wire.Officer])
                if not officer.places or told.site in officer.places
            ),
            seal_key=bytes(parts["seal"][0]) if "seal" in parts else None,
            secret=opening.secret,
        )
    except (*_CANNOT_BE_READ, msgspec.MsgspecError, KeyError, OSError) as error:
        raise Unusable(f"{type(error).__name__}: {error}") from error


def _is_memory(folder: Path, mounts: str) -> bool:
    """Whether it lies in no disk, as the kernel lists its mounts."""
    mounted = {words[1]: words[2] for line in mounts.splitlines() if len(words := line.split()) > 2}
    home = next((str(path) for path in (folder, *folder.parents) if str(path) in mounted), "/")
    return mounted.get(home) in _MEMORY


def _own_key(memory: Path, box: topics.Box) -> X25519PrivateKey:
    """The box's key since it was switched on; a new one when there is no memory to keep it in."""
    path = memory / f"cua-o-{box.site}-{box.edge}.key"
    try:
        if not _is_memory(memory, Path("/proc/mounts").read_text(encoding="utf-8")):
            log.warning("snapshot: %s is no memory file system; a restart without central will know nobody", memory)
            return X25519PrivateKey.generate()
        if path.is_file() and path.stat().st_uid == os.geteuid():
            return X25519PrivateKey.from_private_bytes(path.read_bytes())
        key = X25519PrivateKey.generate()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(key.private_bytes_raw())
    except (OSError, ValueError) as error:
        log.warning("snapshot: no key in %s (%s); a restart without central will know nobody", memory, error)
        return X25519PrivateKey.generate()
    return key


class Snapshots:
    """`current` is what to decide with, or None. `on_change` is called on this thread, after the swap."""

    def __init__(
        self,
        folder: Path,
        http: str,
        sign_key: bytes,
        box: topics.Box,
        *,
        memory: Path,
        on_change: Callable[[], None],
        every_s: float = _EVERY_S,
        known: ssl.SSLContext | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._box = box
        self._sign_key = Ed25519PublicKey.from_public_bytes(sign_key)
        self._own = _own_key(memory, box)
        self._every_s = every_s
        self._on_change = on_change
        self._client = httpx.Client(base_url=http, timeout=10.0, trust_env=False, verify=known or True)
        self.policies = Policies(folder.with_name("policies"), self._sign_key, self._ask_policy)
        self._told: wire.Snapshot | None = None
        self.current: Snapshot | None = None
        self.fetched = 0
        self.refused = 0
        """Documents or files that could not be trusted or opened."""
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="snapshot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_s: float = 1.0) -> None:
        """A fetch that hangs is left alone: it goes on from there the next time."""
        self._closing.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._client.close()

    def _keep(self) -> None:
        self._take_up()
        back_off = _FIRST_BACK_OFF_S
        while not self._closing.is_set():
            pause = self._every_s
            try:
                self.renew()
                back_off = _FIRST_BACK_OFF_S
            except (httpx.HTTPError, OSError) as error:
                log.info("snapshot: not renewed (%s)", type(error).__name__)
                pause, back_off = back_off, min(back_off * 2, _LAST_BACK_OFF_S)
            except (wire.Untrusted, Unusable) as error:
                self.refused += 1
                log.error("snapshot: refused, the last good one stays: %s", error)  # noqa: TRY400  (its words suffice)
            if self._wake.wait(pause * random.uniform(0.7, 1.0)):  # noqa: S311  (jitter, not a secret)
                self._wake.clear()
                self._closing.wait(random.uniform(0.0, _SPREAD_S))  # noqa: S311  (as above)

    def hear(self, notice: Notice) -> None:
        """Central has built another one. From any thread."""
        if self._told is None or self._told.version != notice.version:
            self._wake.set()

    def _take_up(self) -> None:
        """What lay there when the program ended, if the box was not switched off since."""
        try:
            self.policies.take_up()
            document = (self._folder / "snapshot.json").read_bytes()
            self._swap(wire.verify(document, self._sign_key, site=self._box.site, edge=self._box.edge))
        except FileNotFoundError:
            return
        except (wire.Untrusted, Unusable, OSError) as error:
            log.info("snapshot: what lies on the disk stays closed (%s)", type(error).__name__)

    def renew(self) -> None:
        """Ask once. Raises httpx.HTTPError, OSError, Untrusted or Unusable; nothing has changed then."""
        shown = urlsafe_b64encode(self._own.public_key().public_bytes_raw()).decode().rstrip("=")
        answer = self._client.get(f"/snapshot/{self._box.site}/{self._box.edge}", params={"key": shown})
        answer.raise_for_status()
        told = wire.verify(answer.content, self._sign_key, site=self._box.site, edge=self._box.edge)
        if self._told is not None and told.as_of < self._told.as_of:
            raise wire.Untrusted("older than what is in use")
        for part in told.parts:
            self._fetch(part)
        self.policies.update(told.policies)
        if self._swap(told):
            self.fetched += 1
        partial = self._folder / "snapshot.part"
        partial.write_bytes(answer.content)
        partial.replace(self._folder / "snapshot.json")
        named = {part.sha256 for part in told.parts} | {"snapshot.json"}
        for path in self._folder.iterdir():
            if path.name not in named:
                path.unlink()

    def _swap(self, told: wire.Snapshot) -> bool:
        """True when there was more to change than the moment."""
        same = self._told is not None and self._told.parts == told.parts
        current = self.current
        if same and current:
            self.current = replace(current, as_of=told.as_of, policies=self.policies.current)
        else:
            self.current = _opened(told, self._folder, self._own, self.policies.current)
        self._told = told
        self._on_change()
        return not same

    def _ask_policy(self, sha256: str) -> bytes:
        answer = self._client.get(f"/policy/{sha256}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise wire.Untrusted(f"policy {sha256[:12]}: named by central, and not there")
        answer.raise_for_status()
        return answer.content

    def _fetch(self, part: wire.Part) -> None:
        path = self._folder / part.sha256
        if path.exists():
            return
        partial = path.with_suffix(".part")
        have = partial.stat().st_size if partial.exists() else 0
        headers: Mapping[str, str] = {"Range": f"bytes={have}-"} if 0 < have < part.size else {}
        with self._client.stream("GET", f"/snapshot/{part.sha256}", headers=headers) as answer:
            answer.raise_for_status()
            with partial.open("ab" if answer.status_code == httpx.codes.PARTIAL_CONTENT else "wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
                    if file.tell() > part.size or self._closing.is_set():
                        break
                file.flush()
                os.fsync(file.fileno())
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == part.sha256:
            partial.replace(path)
            return
        if partial.stat().st_size >= part.size:
            partial.unlink()
            raise wire.Untrusted("a file is not what the document says; fetching it again")
        raise httpx.ReadError("cut off")
