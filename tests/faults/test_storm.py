"""Very many boxes that come back at once: `CUAO_LONG=1` makes it a thousand."""

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from scripts.bench.boxes import SimBox
from tests.faults import rig

pytestmark = [pytest.mark.service, pytest.mark.timeout(400)]
BOXES = 1000 if os.environ.get("CUAO_LONG") else 100


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(150):
        while not true():  # noqa: ASYNC110  (very many boxes, one look)
            await asyncio.sleep(0.05)


async def storm(broker: rig.Part, port: int, dice: random.Random) -> set[str]:
    """Everybody is there, the broker dies and comes back, everybody comes back; the ids of all that happened."""
    waits: list[float] = []
    boxes = [SimBox(f"edge-{number:04}", port, waits.append, dice) for number in range(BOXES)]
    tasks = [asyncio.create_task(box.run()) for box in boxes]
    await until(lambda: all(box.connects == 1 for box in boxes))
    for box in boxes:
        box.put("zone.breached")
    await asyncio.to_thread(broker.kill)
    for box in boxes:
        box.put("crowd.measured")
    await asyncio.to_thread(broker.start)
    await until(lambda: all(box.connects == 2 for box in boxes))
    await until(lambda: not any(box.waiting for box in boxes))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {name for box in boxes for name in box.made}


def test_everybody_comes_back_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    port = rig.free_port()
    broker = rig.mosquitto(tmp_path, port)
    database = tmp_path / "central.db"
    url = f"mqtt://127.0.0.1:{port}"
    central = rig.central(tmp_path, "central", broker=url, database=f"sqlite+aiosqlite:///{database}")
    try:
        broker.start()
        central.start()
        rig.until(lambda: "connected to the broker" in central.log.read_text(), "central")
        made = asyncio.run(storm(broker, port, random.Random(3)))
        with closing(sqlite3.connect(database)) as connection:
            stored = [row[0] for row in connection.execute("SELECT id FROM event")]
        assert sorted(stored) == sorted(made)
    finally:
        for part in (central, broker):
            part.kill()
