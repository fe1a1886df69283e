"""A file of residents comes in whole, the bad rows beside it, and again without a change."""

from datetime import timedelta
from pathlib import Path

import pytest

from central.registry.load import BadFile, load
from central.registry.tables import fact, identity, resident
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


def test_a_wrong_header_says_which_column(city: City, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("number,name\n", encoding="utf-8")
    with pytest.raises(BadFile, match="no column birth, sex, ward"):
        city.run(lambda engine: load(engine, city.keys, file, NOW, quiet=True))
