"""The only door to snapshots: builds their files beside the database, and writes each gate its own document."""

import asyncio
import hashlib
import io
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db, keys
from central.keys import Keys
from central.registry import service as registry
from central.snapshot import rules
from central.snapshot.rules import Built, Carry, Kept, Scope
from models.passes.packing import Packer
from models.passes.policy import parse
from models.wire import parcel, seal
from models.wire import snapshot as wire
from models.wire.policy import sign as sign_policy

_KEPT_S = 3600.0
"""A gate on a slow line may still be fetching a file that has been replaced."""
_NICE = 10
_PAGE = 10_000
_POLICY = "policy"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to build; travels to the process that does it."""

    database: str
    data: str
    carry: Mapping[str, Carry]
    common: tuple[tuple[str, bytes], ...]
    """(kind, content) of what every gate gets: policies, officers."""

    @property
    def folder(self) -> Path:
        return Path(self.data) / "snapshots"

    @property
    def kinds(self) -> tuple[str, ...]:
        """A gate carries only what its policies read."""
        policies = [parse(content, name="policy") for kind, content in self.common if kind == _POLICY]
        return tuple(sorted({"known"}.union(*(policy.reads for policy in policies))))

    @property
    def scopes(self) -> dict[str, Carry]:
        return {rules.scope_name(carry): carry for carry in (rules.carry_of("", self.carry), *self.carry.values())}


def present(folder: Path) -> Built | None:
    """What has been built last."""
    try:
        return msgspec.json.decode((folder / "built.json").read_bytes(), type=Built)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


async def is_due(engine: AsyncEngine, order: Order) -> bool:
    """Whether anything has changed. If not, what is there is as young as this answer."""
    built, now = present(order.folder), datetime.now(UTC)
    if built is None or not _is_for(built, order):
        return True
    async with db.reading(engine) as connection:
        for scope in built.scopes.values():
            if await registry.changes(connection, scope.mark) != scope.changes:
                return True
    await asyncio.to_thread(_publish, order.folder, msgspec.structs.replace(built, as_of=now.isoformat()))
    return False


def _is_for(built: Built, order: Order) -> bool:
    contents = {hashlib.sha256(content).hexdigest() for _, content in order.common}
    return built.kinds == order.kinds and built.scopes.keys() == order.scopes.keys() and built.common.keys() == contents


def build(order: Order) -> None:
    """Build what is due; runs in a process of its own, behind everybody who waits for an answer."""
    os.nice(_NICE)
    asyncio.run(_build(order))


async def _build(order: Order) -> None:
    order.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    built = present(order.folder)
    files = _Files(order.folder, keys.load(Path(order.data)), order.kinds, datetime.now(UTC))
    old = built.scopes if built and built.kinds == order.kinds else {}
    engine = db.connect(order.database)
    try:
        scopes = {name: await files.scope(engine, old.get(name), carry) for name, carry in order.scopes.items()}
        common = {}
        for kind, content in order.common:
            digest = hashlib.sha256(content).hexdigest()
            common[digest] = (built and built.common.get(digest)) or files.wrap(kind, io.BytesIO(content))
        _publish(order.folder, Built(as_of=files.now.isoformat(), kinds=order.kinds, scopes=scopes, common=common))
        async with db.writing(engine) as connection:
            await registry.forget_changes(connection, min(scope.mark for scope in scopes.values()))
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True)
class _Files:
    """Files as of one moment."""

    folder: Path
    keys: Keys
    kinds: tuple[str, ...]
    now: datetime

    async def scope(self, engine: AsyncEngine, old: Scope | None, carry: Carry) -> Scope:
        """A delta to the old base, or a new base."""
        packer = Packer(self.kinds, built_at=self.now, complete=carry == "all")
        async with db.reading(engine) as connection:
            ids = await registry.changed(connection, old.mark) if old else None
            if old and ids is not None and not rules.needs_new_base(old, ids):
                number = await registry.changes(connection, old.mark)
                if number == old.changes:
                    return old
                for start in range(0, len(ids), _PAGE):
                    for person in await registry.these(connection, ids[start : start + _PAGE], self.now):
                        if rules.belongs(person, carry, registry.ADVERSE):
                            packer.add(person)
                return msgspec.structs.replace(old, delta=self._packed("delta", packer)[0], changes=number)
        async with db.writing(engine) as connection:
            mark = await registry.newest_change(connection)
        async with db.reading(engine) as connection:
            async for page in registry.carried(connection, self.now, None if carry == "all" else carry):
                for person in page:
                    packer.add(person)
        base, count = self._packed("base", packer)
        return Scope(base=base, mark=mark, keys=count)

    def _packed(self, kind: str, packer: Packer) -> tuple[Kept, int]:
        with tempfile.TemporaryFile(dir=self.folder) as plain:
            header = packer.write(plain)
            plain.seek(0)
            return self.wrap(kind, plain), header.keys

    def wrap(self, kind: str, plain: BinaryIO) -> Kept:
        salt = secrets.token_hex(16)
        partial = self.folder / f"{salt}.part"
        with partial.open("wb") as file:
            sealed = parcel.wrap(plain, file, self.keys.parcel(salt))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / sealed.sha256)
        return Kept(wire.Part(kind=kind, sha256=sealed.sha256, size=sealed.size), salt)


def _publish(folder: Path, built: Built) -> None:
    """Swap in one step what is given out, and throw away what nobody can be fetching any more."""
    partial = folder / "built.part"
    partial.write_bytes(msgspec.json.encode(built))
    partial.replace(folder / "built.json")
    named = {kept.part.sha256 for kept in _files(built)} | {"built.json"}
    for path in folder.iterdir():
        if path.name not in named and time.time() - path.stat().st_mtime > _KEPT_S:
            path.unlink()


def _files(built: Built, name: str | None = None) -> Iterator[Kept]:
    for scope in built.scopes.values() if name is None else [built.scopes[name]]:
        yield scope.base
        if scope.delta:
            yield scope.delta
    yield from built.common.values()


def _split(built: Built, name: str) -> tuple[list[Kept], tuple[str, ...]]:
    """The files of a scope, and the policies, which go by themselves."""
    files = [kept for kept in _files(built, name) if kept.part.kind != _POLICY]
    return files, tuple(digest for digest, kept in built.common.items() if kept.part.kind == _POLICY)


class Notices:
    """What each site's gates are told of their newest snapshot. Cheap to ask: what was built is read once."""

    def __init__(self, folder: Path, carry: Mapping[str, Carry]) -> None:
        self._folder = folder
        self._carry = carry
        self._read_at = 0
        self._versions: dict[str, str] = {}

    def version(self, site: str) -> str | None:
        """None while nothing has been built, or not here."""
        try:
            written_at = (self._folder / "built.json").stat().st_mtime_ns
        except OSError:
            return None
        if written_at != self._read_at and (built := present(self._folder)) is not None:
            self._read_at = written_at
            split = {name: _split(built, name) for name in built.scopes}
            self._versions = {
                name: wire.version_of([kept.part.sha256 for kept in files], policies)
                for name, (files, policies) in split.items()
            }
        return self._versions.get(rules.scope_name(rules.carry_of(site, self._carry)))


def document(
    folder: Path, secret: Keys, carry: Mapping[str, Carry], *, site: str, edge: str, key: bytes
) -> bytes | None:
    """The signed document of one gate, closed to the key that it showed; None while nothing has been built."""
    built = present(folder)
    name = rules.scope_name(rules.carry_of(site, carry))
    if built is None or name not in built.scopes:
        return None
    files, policies = _split(built, name)
    opening = wire.Opening(
        secret=secret.outside_secret, keys={kept.part.sha256: secret.parcel(kept.salt) for kept in files}
    )
    told = wire.Snapshot(
        site=site,
        edge=edge,
        as_of=datetime.fromisoformat(built.as_of),
        parts=tuple(kept.part for kept in files),
        policies=policies,
        sealed=seal.close(msgspec.json.encode(opening), key),
    )
    return wire.sign(told, secret.sign)


def policy(folder: Path, secret: Keys, sha256: str) -> bytes | None:
    """A policy that gates are told of, signed; None for any other."""
    built = present(folder)
    kept = built.common.get(sha256) if built else None
    if kept is None or kept.part.kind != _POLICY:
        return None
    with (folder / kept.part.sha256).open("rb") as file:
        return sign_policy(bytes(parcel.unwrap(file, secret.parcel(kept.salt))), secret.sign)
