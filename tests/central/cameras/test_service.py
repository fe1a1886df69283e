from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.cameras import service
from central.cameras.tables import box_file
from models.wire.topics import Box
from tests.central.city import NOW, City

pytestmark = pytest.mark.service
BOX = Box("q-01", "edge-01")
FILE = "source: rtsp://guard:s3cr3t@cam/a\n"


def test_a_boxs_file_is_kept_once_and_lies_sealed(city: City) -> None:
    async def step(engine: AsyncEngine) -> None:
        for second, text in enumerate((FILE, FILE, FILE + "# more\n")):
            async with db.writing(engine) as connection:
                now = NOW + timedelta(seconds=second)
                await service.keep(connection, city.keys, BOX, text, by="an", now=now)
        async with db.reading(engine) as connection:
            assert await service.newest(connection, city.keys, BOX) == FILE + "# more\n"
            assert await service.newest(connection, city.keys, Box("q-01", "edge-02")) is None
            rows = (await connection.execute(select(box_file))).all()
        assert len(rows) == 2
        assert "s3cr3t" not in repr(rows)

    city.run(step)


def test_of_many_changes_the_last_ones_are_kept(city: City) -> None:
    async def step(engine: AsyncEngine) -> None:
        async with db.writing(engine) as connection:
            for second in range(60):
                now = NOW + timedelta(seconds=second)
                await service.keep(connection, city.keys, BOX, f"a: {second}", by=None, now=now)
            assert len((await connection.execute(select(box_file))).all()) == 50
            assert await service.newest(connection, city.keys, BOX) == "a: 59"

    city.run(step)
