"""Whatever dies, a breach ends with when its body was last seen."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

from edge.gate.incidents import Incidents
from edge.sighting import Last
from models.wire.events import ZoneBreached

NOW = datetime(2021, 9, 21, 6, tzinfo=UTC)
LEFT = ZoneBreached(
    phase="open",
    incident="a1",
    zone="yard",
    track=1,
    box=(0.1, 0.1, 0.1, 0.2),
    foot=(0.15, 0.3),
    left_at=1.0,
    reported_at=2.0,
    certainty="left",
    shown=(0.1, 0.1, 0.1, 0.2),
)


def left(incident: str = "a1", **told: Any) -> ZoneBreached:
    return structs.replace(LEFT, incident=incident, **told)


def test_a_box_that_died_ends_what_went_on_with_the_last_sighting_once(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path / "incidents.json")
    incidents.take("cam-2", left(), NOW)
    incidents.see({"a1": Last(NOW + timedelta(seconds=7), 9.0), "strange": Last(NOW, 1.0)})
    (ended,) = Incidents(tmp_path / "incidents.json").adopted
    assert (ended.camera, ended.at) == ("cam-2", NOW + timedelta(seconds=7))
    assert (ended.breach.phase, ended.breach.end_reason, ended.breach.reported_at) == ("close", "restart", 9.0)


def test_what_nobody_saw_again_ends_with_when_it_was_told(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path / "incidents.json")
    incidents.take("cam-2", left(), NOW)
    (ended,) = incidents.end({"cam-2"}, "restart")
    assert (ended.at, ended.breach.reported_at) == (NOW, 2.0)
    assert incidents.end({"cam-2"}, "restart") == []


def test_what_has_ended_is_not_ended_again_and_other_cameras_go_on(tmp_path: Path) -> None:
    incidents = Incidents(tmp_path / "incidents.json")
    incidents.take("cam-2", left(), NOW)
    incidents.take("cam-3", left("b2"), NOW)
    incidents.take("cam-2", left(phase="close", end_reason="returned"), NOW)
    assert incidents.end({"cam-2"}, "restart") == []
    assert [one.breach.incident for one in Incidents(tmp_path / "incidents.json").adopted] == ["b2"]


def test_a_damaged_file_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "incidents.json").write_bytes(b"{half")
    assert Incidents(tmp_path / "incidents.json").adopted == []
