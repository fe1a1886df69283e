import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from models.passes.classify import classify
from scripts.city import people

NOW = datetime(2021, 9, 21, 6, 0, tzinfo=UTC)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_number_agrees_with_its_holder_and_stands_once(tmp_path: Path) -> None:
    people.write(tmp_path / "all.csv", NOW, rows=2000)
    rows = _rows(tmp_path / "all.csv")
    assert len(rows) == 2000
    assert len({row["number"] for row in rows}) == len({row["qid"] for row in rows}) == 2000
    for row in rows:
        birth = date.fromisoformat(row["birth"])
        century = 2 * (birth.year // 100 - 19) + (row["sex"] == "female")
        assert row["number"][3:6] == f"{century}{birth.year % 100:02d}"


def test_one_seed_gives_the_same_people(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        people.write(tmp_path / name, NOW, rows=200)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_the_stranger_is_in_no_registry(tmp_path: Path) -> None:
    people.write(tmp_path / "all.csv", NOW, rows=200)
    known = {row["number"] for row in _rows(tmp_path / "all.csv")}
    assert [role.person.number in known for role in people.CAST] == [True, True, False]


@pytest.mark.parametrize("write", [people.personal_text, people.cccd_text])
def test_a_code_of_the_city_is_read_without_a_fault(write: object) -> None:
    assert callable(write)
    for role in people.CAST:
        code = classify(write(role.person).encode())
        assert code.reasons == ()
        assert ("cccd", role.person.number) in code.ids


def test_a_name_loses_its_diacritics() -> None:
    assert people.plain("Đặng Thị Ngọc Ước") == "DANG THI NGOC UOC"
