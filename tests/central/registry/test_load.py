"""A file of residents comes in whole, the bad rows beside it, and again without a change."""

from collections.abc import Awaitable
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from central import db
from central.registry.bulk import Merged
from central.registry.load import BadFile, Cancelled, Progress, load
from central.registry.rules import Row, Told
from central.registry.service import facts_of, resolve, take_rows
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
    def tell(engine: AsyncEngine, since: datetime, now: datetime) -> Awaitable[Merged]:
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


def test_the_old_number_and_the_new_one_are_one_person(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    header = "number,name,birth,sex,ward,old_number,qid\n"
    file.write_text(header + "123456789,Nguyễn Văn An,1980,Nam,Ba Đình,,\n", encoding="utf-8")
    city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    file.write_text(header + "001080000001,Nguyễn Văn An,1980,Nam,Tây Hồ,123456789,Q1\n", encoding="utf-8")
    report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    assert (report.new, report.known) == (0, 1)
    assert [row["ward"] for row in city.rows(resident)] == ["Tây Hồ"]
    assert city.count(identity) == 3


def test_a_number_that_names_two_people_is_refused(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    rows = (
        "001080000001,An,1980,Nam,Ba Đình,Q1\n"
        "001080000002,Bình,1980,Nam,Ba Đình,Q1\n"  # of another in the same file
        "001080000003,Chi,1980,Nữ,Ba Đình,Q3\n"
    )
    file.write_text("number,name,birth,sex,ward,qid\n" + rows, encoding="utf-8")
    report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    assert (report.new, report.rejected) == (2, 1)
    # and of two in the registry
    file.write_text("number,name,birth,sex,ward,qid\n001080000001,An,1980,Nam,Ba Đình,Q3\n", encoding="utf-8")
    report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    assert (report.new, report.known, report.rejected) == (0, 0, 1)
    assert "different residents" in (tmp_path / "people.csv.rejected.csv").read_text(encoding="utf-8")


def test_a_large_file_is_read_beside_and_leads_to_the_same_rows(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    odd = '001080000007,"O\\\'Tab\tLine",1980,Nam,"Ba\nĐình",,,,,,\n'
    file.write_text(HEADER + GOOD + BROKEN + odd, encoding="utf-8")
    report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True, beside_bytes=0))
    assert (report.new, report.facts, report.rejected) == (3, 3, 5)
    large = [city.rows(table, "id") for table in (resident, identity, fact)]
    other = City(f"sqlite+aiosqlite:///{tmp_path}/other.db", city.keys, city.root)
    other.upgrade()
    other.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    assert large == [other.rows(table, "id") for table in (resident, identity, fact)]
    # what took the empty tables' place has their indexes and keys, and counts on
    report = city.run(lambda engine: load(engine, city.keys, file, NOW + timedelta(days=1), quiet=True))
    assert (report.new, report.known, report.facts) == (0, 3, 0)
    file.write_text(HEADER + GOOD.replace(",,1,,", ",,0,,"), encoding="utf-8")
    assert city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True)).facts == 1


def test_a_sheet_is_read_like_a_csv(city: City, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["number", "name", "birth", "sex", "ward", "doses"])
    book.active.append(["001080000001", "Nguyễn Văn An", date(1980, 2, 1), "Nam", "Ba Đình", 2])
    book.active.append([1080000001, "Trần Thị Bình", 1981, "Nữ", "Ba Đình", None])
    file = tmp_path / "people.xlsx"
    book.save(file)
    report = city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
    # a number that a spreadsheet has taken for one has lost its zeros
    assert (report.new, report.facts, report.rejected) == (1, 1, 1)
    assert city.rows(resident)[0]["birth"] == "1980-02-01"


def test_an_import_that_is_stopped_leaves_what_was_merged(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(HEADER + GOOD, encoding="utf-8")
    progress = Progress()
    progress.stopping.set()
    with pytest.raises(Cancelled):
        city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True, progress=progress))
    assert city.count(resident) == 0
