"""A file of residents comes in whole, the bad rows beside it, and again without a change."""

from collections.abc import Awaitable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.registry.load import BadFile, load
from central.registry.rules import Row, Told
from central.registry.service import Imported, facts_of, resolve, take_rows
from central.registry.tables import fact, identity, resident
from models.passes.facts import LOCAL
from tests.central.city import NOW, City

HEADER = "number,name,birth,sex,ward,qid,f0,f1,order_place,declared_at,doses\n"
GOOD = (
    "001080000001,Nguyễn Văn An,02/01/1980,Nam,Ba Đình,Q1,,1,,2026-11-23T07:00,2\n"
    "001080000002,Trần Thị Bình,1981,Nữ,Đống Đa,,,,,,\n"
)
BROKEN = (
    "12,=HYPERLINK(),1980,Nam,Ba Đình,,,,,,\n"
    "001080000003,C,31/02/1980,Nam,Ba Đình,,,,,,\n"
    "001080000004,D,1980,Nam\n"
    "001080000005,E,1980,Nam,Ba Đình,,maybe,,,,\n"
    "001080000001,An again,1980,Nam,Ba Đình,,,,,,\n"
)


def test_broken_rows_are_kept_with_line_and_reason(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(HEADER + GOOD + BROKEN, encoding="utf-8")
    report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    assert (report.new, report.rejected) == (2, 5)
    kept = (tmp_path / "people.csv.rejected.csv").read_text(encoding="utf-8").splitlines()
    assert sorted(int(line.partition(",")[0]) for line in kept[1:]) == [4, 5, 6, 7, 8]
    assert "'=HYPERLINK()" in kept[1]
    assert "001080000003" not in "".join(kept)


def test_the_same_file_again_changes_nothing(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(HEADER + GOOD, encoding="utf-8")
    city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    before = [city.rows(table, "imported_at") for table in (resident, identity, fact)]
    report = city.run(lambda engine: load(engine, city.keys, file, NOW + timedelta(days=1), quiet=True))
    assert (report.new, report.known, report.facts) == (0, 2, 0)
    assert [city.rows(table, "imported_at") for table in (resident, identity, fact)] == before


def test_f0_and_f1_may_tell_since_which_day(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    rows = (
        "001080000001,An,1980,Nam,Ba Đình,,2026-11-14,0,,,\n"
        "001080000002,Bình,1981,Nữ,Đống Đa,,true,2026-02-30,,,\n"
        "001080000003,Chi,1981,Nữ,Đống Đa,,FALSE,2026-12-01,,,\n"
    )
    file.write_text(HEADER + rows, encoding="utf-8")
    for _ in range(2):
        report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
        assert report.rejected >= 1
        assert "since which day" in (tmp_path / "people.csv.rejected.csv").read_text(encoding="utf-8")
    told = {(row["kind"], row["value"], row["from"]) for row in city.rows(fact)}
    assert told == {
        ("status_f0", "true", datetime(2026, 11, 14, tzinfo=LOCAL)),
        ("status_f1", "false", NOW),
        ("status_f0", "false", NOW),
        ("status_f1", "true", datetime(2026, 12, 1, tzinfo=LOCAL)),
    }
    assert city.count(fact) == 4


def test_what_begins_later_does_not_hide_what_holds_now(city: City) -> None:
    def tell(engine: AsyncEngine, since: datetime, now: datetime) -> Awaitable[Imported]:
        row = Row((("cccd", "001080000001"),), "An", "", "", "", (Told("status_f1", True, since),))
        return take_rows(engine, city.keys, {2: row}, "test", now)

    async def known(engine: AsyncEngine) -> datetime:
        async with db.reading(engine) as connection:
            person = await resolve(connection, [city.keys.key("cccd", "001080000001")])
            assert person
            return (await facts_of(connection, person, NOW))["status_f1"].from_

    city.run(lambda engine: tell(engine, NOW - timedelta(days=3), NOW))
    city.run(lambda engine: tell(engine, NOW + timedelta(days=3), NOW + timedelta(seconds=1)))
    assert city.run(known) == NOW - timedelta(days=3)


def test_a_wrong_header_says_which_column(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("number,name\n", encoding="utf-8")
    with pytest.raises(BadFile, match="no column birth, sex, ward"):
        city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
