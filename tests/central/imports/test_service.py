"""A file that is brought to the desk: it lies closed, is imported by a process of its own, and leaves only counts."""

import asyncio
import csv
import io
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.auth.tables import audit
from central.imports import service
from central.imports.rules import State
from central.imports.service import Order, Shelf, TooLarge, TooMany
from central.imports.tables import upload
from central.registry.load import BadFile
from central.registry.tables import resident
from tests.central.city import City

T = TypeVar("T")
HEADER = "Số CCCD,Họ và tên,Ngày sinh,Giới tính,Phường,Ghi chú\n"
GOOD = "001080000001,Nguyễn Văn An,02/01/1980,Nam,Ba Đình,x\n001080000002,Trần Thị Bình,1981,Nữ,Đống Đa,\n"
BROKEN = "001080000003,=HYPERLINK(1),31/02/1980,Nam,Ba Đình,001080000003\n"


class Desk:
    def __init__(self, city: City, folder: Path) -> None:
        self.city = city
        self.order = Order(database=city.url, data=str(folder))
        self.shelf = Shelf(self.order.folder, city.keys)

    def bring(self, content: bytes, *, most_bytes: int = 10**7, name: str = "dân cư.csv") -> str:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 1000):
                yield content[start : start + 1000]

        return self.run(
            lambda engine: service.receive(engine, self.shelf, pieces(), name=name, by="lan", most_bytes=most_bytes)
        )

    def run(self, step: Callable[[AsyncEngine], Awaitable[T]]) -> T:
        return self.city.run(step)

    def say(self, act: Callable[[Any], Awaitable[T]]) -> T:
        async def step(engine: AsyncEngine) -> T:
            async with db.writing(engine) as connection:
                return await act(connection)

        return self.run(step)

    def start(self, id_: str) -> None:
        assert self.say(lambda connection: service.start(connection, id_))

    def row(self, id_: str) -> RowMapping:
        row = self.say(lambda connection: service.read(connection, id_))
        assert row is not None
        return row

    def rejects(self, id_: str) -> list[list[str]]:
        with self.shelf.rejects(self.row(id_)).read() as file:
            return list(csv.reader(io.StringIO(file.read().decode())))

    def disk(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.order.folder.rglob("*") if path.is_file())


@pytest.fixture
def desk(city: City, tmp_path: Path) -> Desk:
    return Desk(city, tmp_path / "keys")


def test_a_file_is_taken_mapped_and_imported_and_only_counts_stay(desk: Desk) -> None:
    id_ = desk.bring((HEADER + GOOD + BROKEN).encode())
    assert desk.row(id_)["state"] == State.READY
    assert b"001080000001" not in desk.disk()
    assert "Nguyễn".encode() not in desk.disk()
    desk.start(id_)
    service.work(desk.order)
    row = desk.row(id_)
    assert (row["state"], row["new"], row["rejected"], row["fault"]) == (State.DONE, 2, 1, "")
    assert {one["ward"] for one in desk.city.rows(resident)} == {"Ba Đình", "Đống Đa"}
    (_, kept) = desk.rejects(id_)
    assert kept[0] == "4"
    assert kept[2:] == ["*********003", "'=HYPERLINK(1)", "31/02/1980", "Nam", "Ba Đình", "*********003"]
    assert b"HYPERLINK" not in desk.disk()
    assert [path.suffix for path in desk.order.folder.glob(f"{id_}.*")] == [".rejects"]
    (noted,) = desk.city.rows(audit)
    assert (noted["who"], noted["what"], noted["whom"]) == ("lan", "imported", id_)
    assert noted["outcome"] == "done: new 2 known 0 facts 0 rejected 1"


def test_what_is_no_list_or_too_large_or_too_many_is_refused_and_not_kept(desk: Desk) -> None:
    with pytest.raises(BadFile, match="CSV in UTF-8"):
        desk.bring(b"PK\3\4 is no sheet")
    with pytest.raises(BadFile, match="CSV in UTF-8"):
        desk.bring(b"\xff\xfe\x00\x01")
    with pytest.raises(TooLarge, match="part it in two"):
        desk.bring(b"a,b\n" * 10_000, most_bytes=20_000)
    assert desk.city.count(upload) == 0
    assert list(desk.order.folder.iterdir()) == []
    for _ in range(8):
        desk.say(lambda connection: connection.execute(upload.insert().values(desk_row(connection))))
    with pytest.raises(TooMany, match="throw away"):
        desk.bring(HEADER.encode())


def desk_row(_connection: object) -> dict[str, Any]:
    from tests.central.city import NOW

    counts = dict.fromkeys(("size", "tries", "new", "known", "facts", "rejected"), 0)
    texts = {"name": "n", "by": "b", "columns": "[]", "fault": "", "state": State.READY}
    return {"id": os.urandom(8).hex(), "at": NOW, "stopping": False} | counts | texts


def test_a_process_that_is_killed_in_the_middle_begins_again(desk: Desk) -> None:
    id_ = desk.bring((HEADER + GOOD).encode())
    desk.start(id_)
    with service.lock(desk.order.folder) as ours:
        assert ours
        # whoever comes while another imports goes away again
        service.work(desk.order)
        assert desk.row(id_)["state"] == State.WAITING
    process = multiprocessing.get_context("spawn").Process(target=_begin_and_hang, args=(desk.order,))
    process.start()
    while desk.row(id_)["state"] != State.RUNNING:
        assert process.is_alive()
    assert not service.is_free(desk.order.folder)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert service.is_free(desk.order.folder)
    assert desk.run(service.is_due)
    service.work(desk.order)
    row = desk.row(id_)
    assert (row["state"], row["tries"], row["new"]) == (State.DONE, 2, 2)


def _begin_and_hang(order: Order) -> None:
    async def begin() -> None:
        engine = db.connect(order.database)
        await service._next(engine)
        await asyncio.sleep(60)

    with service.lock(order.folder):
        asyncio.run(begin())


def test_a_process_that_always_ends_in_the_middle_is_given_up(desk: Desk) -> None:
    id_ = desk.bring((HEADER + GOOD).encode())
    desk.start(id_)
    for _ in range(3):
        desk.run(service._next)
    service.work(desk.order)
    row = desk.row(id_)
    assert row["state"] == State.FAILED
    assert "3 times" in row["fault"]


def test_what_is_stopped_says_so_and_what_waits_is_thrown_away(desk: Desk) -> None:
    running, waiting = desk.bring((HEADER + GOOD).encode()), desk.bring((HEADER + GOOD).encode())
    desk.start(running)
    desk.run(service._next)
    desk.start(waiting)
    for id_ in (running, waiting):
        assert desk.say(lambda connection, id_=id_: service.stop(connection, desk.shelf, id_))  # type: ignore[misc]
    assert not desk.say(lambda connection: service.stop(connection, desk.shelf, waiting))
    service.work(desk.order)
    assert [desk.row(id_)["state"] for id_ in (running, waiting)] == [State.STOPPED] * 2
    assert desk.city.count(resident) == 0
    assert {path.name for path in desk.order.folder.iterdir()} == {"lock"}


def test_what_lies_a_week_is_forgotten_and_what_is_due_is_not(desk: Desk) -> None:
    left, due = desk.bring(HEADER.encode()), desk.bring(HEADER.encode())
    desk.start(due)
    for path in desk.order.folder.iterdir():
        os.utime(path, (0, 0))
    later = desk.row(left)["at"] + timedelta(days=8)
    desk.run(lambda engine: service.forget(engine, desk.shelf, later))
    assert [row["id"] for row in desk.city.rows(upload)] == [due]
    assert {path.name.partition(".")[0] for path in desk.order.folder.glob("*.*")} == {due}


def test_a_file_with_semicolons_is_read_as_well(desk: Desk) -> None:
    id_ = desk.bring((HEADER + GOOD).replace(",", ";").encode("utf-8-sig"))
    desk.start(id_)
    service.work(desk.order)
    assert desk.row(id_)["new"] == 2
