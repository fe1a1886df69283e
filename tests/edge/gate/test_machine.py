from pathlib import Path

from msgspec import UNSET

from edge.gate import machine


def test_this_machine_says_how_it_is(tmp_path: Path) -> None:
    told = machine.look(tmp_path, 61.9)
    assert told.up_s == 61
    assert told.load >= 0
    assert 0 < told.memory < 1
    assert 0 < told.disk < 1
    assert told.celsius is UNSET or 0 < told.celsius < 150


def test_the_hottest_sensor_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    for zone, text in (("0", "41000\n"), ("1", "54500\n"), ("2", "broken")):
        (tmp_path / f"thermal_zone{zone}").mkdir()
        (tmp_path / f"thermal_zone{zone}/temp").write_text(text)
    assert machine._celsius(tmp_path) == 54.5
    assert machine._celsius(tmp_path / "none") is UNSET


def test_a_kernel_that_does_not_tell_its_memory_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: x kB\n")
    assert machine._memory(tmp_path / "meminfo") == 0
    assert machine._memory(tmp_path / "nothing") == 0
