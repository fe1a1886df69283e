"""How a row of the residents' file is read. Pure."""

import re
from datetime import date, datetime
from typing import NamedTuple

from models.passes import names
from models.passes.facts import LOCAL, BadFact, Value, parse

HEADER = ("number", "name", "birth", "sex", "ward", "qid", "f0", "f1", "order_place", "declared_at", "doses")
REQUIRED = HEADER[:5]
_NUMBER_KINDS = {12: "cccd", 9: "cmnd"}
_SEXES = dict.fromkeys(("nam", "male", "m"), "male") | dict.fromkeys(("nữ", "nu", "female", "f"), "female")
_FACTS = {
    "f0": "status_f0",
    "f1": "status_f1",
    "order_place": "order_active",
    "declared_at": "declared_at",
    "doses": "doses",
}
_MAX_CELL = 200
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OR_DAY = ", or since which day (YYYY-MM-DD)"


class BadRow(ValueError):
    """A row that cannot be taken; the message says which cell and why, and repeats no number of a person."""


class Told(NamedTuple):
    """What a cell says of a resident: a name of the vocabulary, and since when, where the cell tells."""

    kind: str
    value: Value
    since: datetime | None = None


class Row(NamedTuple):
    """A line that can be taken."""

    ids: tuple[tuple[str, str], ...]
    """(kind, value), the national number first."""
    name: str
    birth: str
    sex: str
    ward: str
    facts: tuple[Told, ...]
    """An empty cell says nothing; a 0 supersedes what an earlier file said."""

    @property
    def name_key(self) -> str:
        return names.name_key(self.name)


def birth_text(cell: str) -> str:
    """ISO date, or only the year; empty stays empty. Raises BadRow."""
    if not cell:
        return ""
    if re.fullmatch(r"[0-9]{4}", cell):
        if 1880 <= int(cell) <= 2100:
            return cell
    elif found := re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", cell):
        return _date(int(found[1]), int(found[2]), int(found[3]))
    elif found := re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", cell):
        return _date(int(found[3]), int(found[2]), int(found[1]))
    raise BadRow("birth: neither YYYY-MM-DD, DD/MM/YYYY nor a year")


def _date(year: int, month: int, day: int) -> str:
    try:
        return date(year, month, day).isoformat()
    except ValueError as error:
        raise BadRow(f"birth: no such day: {error}") from error


def _facts(cells: dict[str, str]) -> tuple[Told, ...]:
    return tuple(_told(column, kind, cell) for column, kind in _FACTS.items() if (cell := cells.get(column)))


def _told(column: str, kind: str, cell: str) -> Told:
    since: datetime | None = None
    value: Value
    try:
        if column == "declared_at" and (told := _moment(cell)):
            value = told
        elif column in {"f0", "f1"}:
            since = _moment(cell) if _DAY.fullmatch(cell) else None
            value = True if since else parse(kind, cell.casefold())
        else:
            value = parse(kind, cell)
    except BadFact as error:
        raise BadRow(f"{column}: {error}{_OR_DAY if column in {'f0', 'f1'} else ''}") from error
    moment = since or value
    if isinstance(moment, datetime) and not 2000 <= moment.year <= 2100:
        raise BadRow(f"{column}: year out of 2000 to 2100")
    return Told(kind, value, since)


def _moment(cell: str) -> datetime | None:
    """Without a zone it is the time in Viet Nam, without a time the day's beginning there."""
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=LOCAL)


def read_row(cells: dict[str, str]) -> Row:
    """Raises BadRow."""
    if max(map(len, cells.values())) > _MAX_CELL:
        raise BadRow(f"{max(cells, key=lambda column: len(cells[column]))}: longer than {_MAX_CELL} characters")
    if "\0" in "".join(cells.values()):
        raise BadRow("holds a NUL character")
    number = cells["number"]
    kind = _NUMBER_KINDS.get(len(number))
    if kind is None or not (number.isascii() and number.isdigit()):
        raise BadRow("number: neither 12 digits (CCCD) nor 9 (CMND)")
    if not cells["name"]:
        raise BadRow("name: empty")
    sex = _SEXES.get(cells["sex"].casefold(), "")
    if cells["sex"] and not sex:
        raise BadRow("sex: neither Nam nor Nữ")
    ids: tuple[tuple[str, str], ...] = ((kind, number),)
    if qid := cells.get("qid"):
        ids += (("qid", qid),)
    return Row(ids, cells["name"], birth_text(cells["birth"]), sex, cells["ward"], _facts(cells))


def masked(value: str) -> str:
    """A number as it may be written down: its last three characters."""
    return "*" * max(len(value) - 3, 0) + value[-3:] if len(value) > 3 else "*" * len(value)


def defused(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell
