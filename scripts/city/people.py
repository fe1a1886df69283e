"""Synthetic residents of the demo's city: nobody real, every number valid.

    python -m scripts.city.people FILE.csv [--rows 100000] [--seed 1405]

The cast of the checkpoint's scene comes last in the file, but for the one whom the registry does not know.
"""

import argparse
import csv
import random
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

Sex = Literal["male", "female"]

HEADER = ("number", "name", "birth", "sex", "ward", "qid", "f0", "f1", "order_place", "declared_at", "doses")

_PROVINCES = (
    "001", "001", "001", "001", "001", "001", "026", "027", "030", "031", "033", "034",
    "035", "036", "037", "038", "040", "042", "019", "024", "025", "017", "015",
)  # fmt: skip
_SURNAMES = {
    "Nguyễn": 38, "Trần": 12, "Lê": 10, "Phạm": 7, "Hoàng": 4, "Phan": 5, "Vũ": 4, "Đặng": 3, "Bùi": 3, "Đỗ": 3,
    "Hồ": 2, "Ngô": 2, "Dương": 2, "Đinh": 2, "Đào": 1, "Trịnh": 1, "Lương": 1,
}  # fmt: skip
_MIDDLE: dict[Sex, tuple[str, ...]] = {
    "male": ("Văn", "Đức", "Minh", "Quang", "Hữu", "Công", "Xuân", "Ngọc", "Tiến", "Quốc", "Thành", "Đình"),
    "female": ("Thị", "Thị Thu", "Thị Ngọc", "Minh", "Thị Thanh", "Ngọc", "Thu", "Phương", "Thị Kim", "Hồng"),
}
_GIVEN: dict[Sex, tuple[str, ...]] = {
    "male": (
        "Hùng", "Dũng", "Cường", "Tuấn", "Nam", "Long", "Sơn", "Hải", "Đạt", "Thắng",
        "Khánh", "Phúc", "Toàn", "Việt", "Hiếu", "Trung", "Bình", "Quân", "Đông", "Lộc",
    ),
    "female": (
        "Hương", "Lan", "Hoa", "Mai", "Linh", "Trang", "Hằng", "Nga", "Thảo", "Yến",
        "Oanh", "Dung", "Hạnh", "Nhung", "Huyền", "Vân", "Ánh", "Ngân", "Thủy", "Phượng",
    ),
}  # fmt: skip
_WARDS = (
    "Hoàng Liệt", "Thanh Trì", "Giáp Bát", "Tương Mai", "Định Công", "Khương Đình", "Phúc Xá", "Hàng Bạc", "Kim Mã",
    "Dịch Vọng", "Mỹ Đình", "Nghĩa Đô", "Bồ Đề", "Đức Giang", "Yên Sở", "Vĩnh Tuy", "Ô Chợ Dừa", "Láng Hạ",
)  # fmt: skip
_PLACES = ("Khu cách ly Pháp Vân", "Ký túc xá Mỹ Đình", "Tại nhà")


@dataclass(frozen=True)
class Person:
    number: str
    name: str
    birth: date
    sex: Sex
    ward: str
    qid: str


class Role(NamedTuple):
    """One of the cast: who, the code that is held up, and the answer that the registry must lead to."""

    person: Person
    text: str
    outcome: Literal["PASS", "FAIL", "CHECK"]


def number_of(province: str, sex: Sex, birth: date, serial: int) -> str:
    """The 12 digits: province, sex and century, year, serial."""
    return f"{province}{2 * (birth.year // 100 - 19) + (sex == 'female')}{birth.year % 100:02d}{serial:06d}"


def plain(name: str) -> str:
    """Upper case without diacritics, as the personal QR writes a name."""
    folded = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in folded if not unicodedata.combining(letter)).upper()


def personal_text(person: Person) -> str:
    """The national personal QR (Decision 1405/QĐ-BTTTT), declared for oneself."""
    sex = 1 if person.sex == "male" else 2
    return f"{person.number}|{plain(person.name)}|{person.birth.isoformat()}|0|{person.qid}|<{sex}<<"


def cccd_text(person: Person) -> str:
    """The QR on the front of a chip card."""
    sex = "Nam" if person.sex == "male" else "Nữ"
    return f"{person.number}||{person.name}|{person.birth:%d%m%Y}|{sex}|{person.ward}, Hà Nội|01042021"


def _member(name: str, birth: date, sex: Sex, serial: int, qid: str) -> Person:
    return Person(number_of("001", sex, birth, serial), name, birth, sex, "Hoàng Liệt", qid)


_MAY_PASS = _member("Nguyễn Thị Minh Anh", date(1993, 4, 12), "female", 524_117, "163120045587310011")
_F0 = _member("Trần Văn Dũng", date(1978, 9, 2), "male", 318_904, "163120045587310012")
_STRANGER = _member("Lê Hoàng Nam", date(2001, 1, 27), "male", 774_250, "163120045587310013")

CAST: tuple[Role, Role, Role] = (
    Role(_MAY_PASS, personal_text(_MAY_PASS), "PASS"),
    Role(_F0, cccd_text(_F0), "FAIL"),
    Role(_STRANGER, personal_text(_STRANGER), "CHECK"),
)
"""In the order in which they come to the camera. The last one is in no registry."""


def residents(rows: int, dice: random.Random) -> list[Person]:
    surnames = dice.choices(list(_SURNAMES), list(_SURNAMES.values()), k=rows)
    eldest = date(1935, 1, 1).toordinal()
    youngest = date(2015, 12, 31).toordinal()
    taken = {role.person.number for role in CAST}
    people: list[Person] = []
    for row, surname in enumerate(surnames):
        sex: Sex = "female" if dice.random() < 0.5 else "male"
        name = f"{surname} {dice.choice(_MIDDLE[sex])} {dice.choice(_GIVEN[sex])}"
        birth = date.fromordinal(int(eldest + (youngest - eldest) * dice.random()))
        province = dice.choice(_PROVINCES)
        number = number_of(province, sex, birth, int(dice.random() * 1_000_000))
        while number in taken:
            number = number_of(province, sex, birth, int(dice.random() * 1_000_000))
        taken.add(number)
        qid = str(162_900_000_000_000_000 + row * 1_000_000 + int(dice.random() * 1_000_000))
        people.append(Person(number, name, birth, sex, dice.choice(_WARDS), qid))
    return people


def _row(person: Person, *, f0: str, f1: str, place: str, declared: str, doses: str) -> tuple[str, ...]:
    return (
        person.number, person.name, person.birth.isoformat(), person.sex, person.ward, person.qid,
        f0, f1, place, declared, doses,
    )  # fmt: skip


def write(path: Path, now: datetime, *, rows: int = 100_000, seed: int = 1405) -> None:
    """`rows` residents as of `now`, the two known members of the cast among them; one seed, the same people."""
    dice = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(HEADER)
        for person in residents(max(0, rows - 2), dice):
            fate = dice.random()
            hours = dice.random() * (24 if dice.random() < 0.85 else 24 * 14)
            out.writerow(
                _row(
                    person,
                    f0="1" if fate < 0.0005 else "",
                    f1="1" if 0.0005 <= fate < 0.003 else "",
                    place=dice.choice(_PLACES) if 0.003 <= fate < 0.006 else "",
                    declared=(now - timedelta(hours=hours)).isoformat(timespec="seconds"),
                    doses=dice.choice(("", "1", "2", "2", "2", "2")),
                )
            )
        fresh = (now - timedelta(hours=2)).isoformat(timespec="seconds")
        out.writerow(_row(_MAY_PASS, f0="", f1="", place="", declared=fresh, doses="2"))
        out.writerow(_row(_F0, f0="1", f1="", place="", declared=fresh, doses="1"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a synthetic registry of residents as CSV.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1405)
    options = parser.parse_args()
    write(options.file, datetime.now(UTC), rows=options.rows, seed=options.seed)


if __name__ == "__main__":
    main()
