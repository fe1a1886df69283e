from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge.gate.escorts import LONGEST, Escorts

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=20)


def test_a_window_stands_until_its_time_also_after_a_restart(tmp_path: Path) -> None:
    Escorts(tmp_path / "escorts.json").put("cam-2", "yard", SOON, NOW)
    again = Escorts(tmp_path / "escorts.json")
    assert again.standing(NOW) == {"cam-2": {"yard": SOON}}
    assert again.standing(SOON) == {}


def test_a_later_word_counts_and_an_end_takes_it_back(tmp_path: Path) -> None:
    escorts = Escorts(tmp_path / "escorts.json")
    escorts.put("cam-2", "yard", SOON, NOW)
    escorts.put("cam-2", "yard", NOW, NOW)
    assert escorts.standing(NOW) == {}


def test_nobody_is_escorted_for_ever(tmp_path: Path) -> None:
    escorts = Escorts(tmp_path / "escorts.json")
    escorts.put("cam-2", "yard", NOW + timedelta(days=300), NOW)
    assert escorts.standing(NOW) == {"cam-2": {"yard": NOW + LONGEST}}


def test_a_damaged_file_permits_nothing(tmp_path: Path) -> None:
    (tmp_path / "escorts.json").write_bytes(b"{half")
    assert Escorts(tmp_path / "escorts.json").standing(NOW) == {}
