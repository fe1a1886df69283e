"""How a row of the residents' file is read. Pure."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple

from models.passes import names
from models.passes.facts import LOCAL, BadFact, Value, parse

HEADER = (
    "number",
    "name",
    "birth",
    "sex",
    "ward",
    "old_number",
    "qid",
    "f0",
    "f1",
    "order_place",
    "declared_at",
    "doses",
)
REQUIRED = HEADER[:5]
SECRET = ("number", "old_number", "qid")
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


class Line(NamedTuple):
    """Something to be told of a resident."""

    kind: str
    value: Value | None
    """None takes back what was said."""
    from_: datetime | None = None
    until: datetime | None = None
    supersedes: int | None = None


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


@lru_cache(65_536)
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


@lru_cache(65_536)
def _told(column: str, kind: str, cell: str) -> Told:
    since: datetime | None = None
    value: Value
    try:
        if column == "declared_at" and (told := _moment(cell)):
            value = told.replace(microsecond=0)
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


class Reader:
    """Reads the rows of one file; the columns may stand in any order."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._required = [columns.index(name) for name in REQUIRED]
        self._old = _place(columns, "old_number")
        self._qid = _place(columns, "qid")
        self._facts = [(place, name, _FACTS[name]) for place, name in enumerate(columns) if name in _FACTS]

    def read(self, cells: Sequence[str]) -> Row:
        """Raises BadRow."""
        if len(cells) != len(self._columns):
            raise BadRow(f"{len(cells)} cells instead of {len(self._columns)}")
        whole = "".join(cells)
        if len(whole) > _MAX_CELL and max(map(len, cells)) > _MAX_CELL:
            long = max(range(len(cells)), key=lambda place: len(cells[place]))
            raise BadRow(f"{self._columns[long]}: longer than {_MAX_CELL} characters")
        if "\0" in whole:
            raise BadRow("holds a NUL character")
        number, name, birth, sex, ward = [cells[place].strip() for place in self._required]
        kind = _NUMBER_KINDS.get(len(number))
        if kind is None or not (number.isascii() and number.isdigit()):
            raise BadRow("number: neither 12 digits (CCCD) nor 9 (CMND)")
        if not name:
            raise BadRow("name: empty")
        known_sex = _SEXES.get(sex.casefold(), "")
        if sex and not known_sex:
            raise BadRow("sex: neither Nam nor Nữ")
        ids = [(kind, number)]
        if self._old is not None and (old := cells[self._old].strip()):
            if not (len(old) == 9 and old.isascii() and old.isdigit()):
                raise BadRow("old_number: not 9 digits (CMND)")
            ids.append(("cmnd", old))
        if self._qid is not None and (qid := cells[self._qid].strip()):
            ids.append(("qid", qid))
        facts = tuple([_told(name, kind, cell) for place, name, kind in self._facts if (cell := cells[place].strip())])
        return Row(tuple(ids), name, birth_text(birth), known_sex, ward, facts)


def _place(columns: Sequence[str], name: str) -> int | None:
    return columns.index(name) if name in columns else None


def columns_fault(columns: Sequence[str]) -> str:
    """What is wrong with a file's columns; empty when nothing is."""
    named = [name for name in columns if name]
    if missing := [name for name in REQUIRED if name not in named]:
        return f"no column {', '.join(missing)}; the header is {','.join(HEADER)}"
    if strange := [name for name in named if name not in HEADER]:
        return f"unknown column {strange[0]!r}; the header is {','.join(HEADER)}"
    return f"a column stands twice; the header is {','.join(HEADER)}" if len(set(named)) != len(named) else ""


def masked(value: str) -> str:
    """A number as it may be written down: its last three characters."""
    return "*" * max(len(value) - 3, 0) + value[-3:] if len(value) > 3 else "*" * len(value)


def shown(columns: Sequence[str], cells: Sequence[str]) -> list[str]:
    """A row as it may be shown. Cells that nobody has named may hold anything, a number too."""
    plain = {place for place, name in enumerate(columns) if name and name not in SECRET}
    return [cell if place in plain else masked(cell) for place, cell in enumerate(cells)]
