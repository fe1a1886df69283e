"""A central without its sockets: a real database of its own, its keys, the policy, and the events of an edge."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.inbox.intake import Desk, Message, Taken, take
from central.keys import Keys
from models import limits
from models.passes.outcome import Outcome
from models.passes.policy import load as load_policy
from models.wire import events
from models.wire.events import Data, Event, Local, PassScanned
from models.wire.seal import Identity, seal

T = TypeVar("T")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOPIC = "v1/cp-014/edge-01/event"


@dataclass
class City:
    """Each step runs in an event loop of its own, with its own engine: nothing survives but the database."""

    url: str
    keys: Keys
    root: Path
    sequence: int = field(default=0)

    def run(self, step: Callable[[AsyncEngine], Awaitable[T]]) -> T:
        async def go() -> T:
            engine = db.connect(self.url)
            try:
                return await step(engine)
            finally:
                await engine.dispose()

        return asyncio.run(go())

    def upgrade(self) -> None:
        asyncio.run(db.upgrade(self.url))

    def take(self, *payloads: bytes, now: datetime = NOW) -> Taken:
        return self.take_at(TOPIC, *payloads, now=now)

    def take_at(self, topic: str, *payloads: bytes, now: datetime = NOW) -> Taken:
        policy = load_policy(self.root / "configs/policies/directive-22.json")

        async def step(engine: AsyncEngine) -> Taken:
            advice = limits.read(self.root / "configs/limits/directive-15.json")
            desk = Desk(engine=engine, keys=self.keys, policy=policy, limits=advice)
            return await take(desk, [Message(topic, payload) for payload in payloads], now)

        return self.run(step)

    def event(self, data: Data, *, camera: str = "cam-1", time: datetime = NOW, dataref: str | None = None) -> bytes:
        self.sequence += 1
        return events.encode(
            Event(
                id=f"event-{self.sequence}",
                site="cp-014",
                edge="edge-01",
                camera=camera,
                time=time,
                clock="synced",
                sequence=self.sequence,
                epoch="k3f9",
                data=data,
                dataref=dataref,
            )
        )

    def scan(self, number: str, name: str, **facts: str) -> bytes:
        return self.event(
            PassScanned(
                kind="cccd",
                sealed=seal(Identity(ids=(("cccd", number),), name=name), self.keys.public),
                facts=dict(facts),
                local=Local(outcome=Outcome.CHECK, reasons=("no_registry",)),
            )
        )

    def rows(self, table: Table, *ignored: str) -> list[dict[str, Any]]:
        async def step(engine: AsyncEngine) -> list[dict[str, Any]]:
            async with db.reading(engine) as connection:
                found = (await connection.execute(select(table))).mappings()
                return [{name: row[name] for name in row if name not in ignored} for row in found]

        return sorted(self.run(step), key=str)

    def count(self, table: Table) -> int:
        async def step(engine: AsyncEngine) -> int:
            async with db.reading(engine) as connection:
                return (await connection.execute(select(func.count()).select_from(table))).scalar_one()

        return self.run(step)
