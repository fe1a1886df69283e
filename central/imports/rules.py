"""What a file's columns are likely to be, and what of its first rows would be refused. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from central.registry import rules as registry
from models.passes.names import name_key


class State(StrEnum):
    READY = "ready"
    """Looked at; somebody has to say what its columns are."""
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


DUE = (State.WAITING, State.RUNNING)
OPEN = (State.READY, *DUE)
_CALLED = {
    "number": "SO CCCD|CCCD|SO DINH DANH|SO DINH DANH CA NHAN|SO GIAY TO|CCCD/CMND|CMND/CCCD|ID NUMBER|ID",
    "name": "HO TEN|HO VA TEN|TEN|FULL NAME",
    "birth": "NGAY SINH|NAM SINH|NGAY THANG NAM SINH|NTNS|BIRTH DATE|DATE OF BIRTH|DOB",
    "sex": "GIOI TINH|GENDER",
    "ward": "PHUONG|XA|PHUONG XA|PHUONG/XA|XA/PHUONG|PHUONG, XA|NOI CU TRU",
    "old_number": "SO CMND|CMND|CMND CU|SO CMND CU|OLD NUMBER|OLD ID",
    "qid": "MA QID|MA QR|QR",
    "order_place": "NOI CACH LY|ISOLATION PLACE",
    "declared_at": "KHAI BAO|KHAI BAO LUC|KHAI BAO Y TE|DECLARED",
    "doses": "SO MUI|MUI|MUI TIEM|SO MUI TIEM",
}
_OURS = {word: name for name, words in _CALLED.items() for word in words.split("|")}
_OURS |= {name_key(name): name for name in registry.HEADER}


def guess(header: Sequence[str]) -> list[str]:
    """Which of our columns each of the file's is; empty where its name says nothing. None is given twice."""
    columns: list[str] = []
    for cell in header:
        ours = _OURS.get(name_key(cell.replace("_", " ")), _OURS.get(name_key(cell), ""))
        columns.append("" if ours in columns else ours)
    return columns


class Looked(NamedTuple):
    """A row of the file as it may be shown, and why it would be refused; None: it would be taken."""

    line: int
    cells: list[str]
    refused: str | None


def look(columns: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> list[Looked]:
    """Columns without a fault."""
    reader = registry.Reader(columns)
    looked = []
    for line, cells in rows:
        refused = None
        try:
            reader.read(cells)
        except registry.BadRow as fault:
            refused = str(fault)
        looked.append(Looked(line, registry.shown(columns, cells), refused))
    return looked
