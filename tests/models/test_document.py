from pathlib import Path

import pytest

from models.document import BadDocument, Section, load, parse


class Door(Section):
    name: str
    width_cm: int


class House(Section):
    city: str
    doors: tuple[Door, ...] = ()


GOOD = "city: Hà Nội\ndoors:\n  - {name: front, width_cm: 90}\n  - name: back\n    width_cm: 80\n"


def refused(text: str) -> str:
    with pytest.raises(BadDocument) as caught:
        parse(text, House, name="house.yaml")
    return str(caught.value)


def test_a_good_file_becomes_a_frozen_value(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(GOOD, encoding="utf-8")
    house = load(path, House)
    assert house.doors[1].width_cm == 80
    with pytest.raises(ValueError, match="frozen"):
        house.city = "Huế"


def test_an_unknown_key_is_named_with_its_line() -> None:
    text = GOOD.replace("width_cm: 80", "width_cm: 80\n    colour: red")
    assert refused(text) == "house.yaml:6: doors.1.colour: unknown key; remove it or correct its spelling"


def test_a_missing_key_is_named_with_the_line_of_its_section() -> None:
    assert refused(GOOD.replace("\n    width_cm: 80", "")) == "house.yaml:4: doors.1.width_cm: missing; add it"


def test_a_bad_value_is_shown_with_its_line() -> None:
    assert refused(GOOD.replace("80", "wide")).startswith("house.yaml:5: doors.1.width_cm: ")
    assert "(given: 'wide')" in refused(GOOD.replace("80", "wide"))


def test_every_fault_is_told_at_once() -> None:
    assert len(refused(GOOD.replace("80", "wide").replace("city", "town")).splitlines()) == 3


def test_what_is_no_yaml_is_told_with_its_line() -> None:
    assert refused("city: x\ndoors: [\n").startswith("house.yaml:3: not YAML: ")


def test_an_empty_file_is_refused() -> None:
    assert refused("").startswith("house.yaml:1: document: ")


def test_a_file_that_is_not_there_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"gone\.yaml: cannot be read: No such file.*give the path"):
        load(tmp_path / "gone.yaml", House)


def test_a_file_that_is_no_text_names_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_bytes(b"city: \xff\xfe")
    with pytest.raises(BadDocument, match="save it as UTF-8"):
        load(path, House)
