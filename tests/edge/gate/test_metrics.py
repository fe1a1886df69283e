from datetime import UTC, datetime

from msgspec.structs import replace

from edge.gate.metrics import render
from models.wire.events import CameraHealth, EdgeState, Machine


def test_counters_and_cameras_are_told_a_line_each() -> None:
    health = CameraHealth(
        state="live",
        reason="pictures",
        watch="traffic",
        mode="armed",
        since=datetime(2021, 9, 21, tzinfo=UTC),
        fps=14.9,
        frames=300,
        dropped=7,
        shed=2,
        step="keys",
    )
    state = EdgeState(state="online", boot="b", waiting=3, counters={"connects": 1}, cameras={"cam-1": health})
    lines = render(replace(state, machine=Machine(up_s=9, load=0.5, memory=0.4, disk=0.93))).splitlines()
    assert "cuao_machine_disk 0.93" in lines
    assert not any("celsius" in line for line in lines), "it has no sensor"
    assert "cuao_events_waiting 3" in lines
    assert "cuao_connects 1" in lines
    assert 'cuao_camera_frames_total{camera="cam-1"} 300' in lines
    assert 'cuao_camera_shed_total{camera="cam-1"} 2' in lines
    assert 'cuao_camera_fps{camera="cam-1"} 14.9' in lines
    assert 'cuao_camera_state{camera="cam-1",state="live",step="keys"} 1' in lines
    assert not any("frame_age_s{" in line for line in lines)


def test_a_box_that_has_said_nothing_yet_can_be_asked() -> None:
    assert "cuao_camera_state" in render(EdgeState(state="online", boot="b"))
