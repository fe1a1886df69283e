import pytest

from edge.eyes.clock import LiveEdge, StreamClock


def test_a_streams_time_goes_on_over_a_reconnect_and_a_leap_of_its_stamps() -> None:
    clock = StreamClock()
    assert clock.at(100.0, 10.0) == 0.0
    assert clock.at(101.0, 11.0) == pytest.approx(1.0)
    clock.restart()
    assert clock.at(5.0, 14.0) == pytest.approx(4.0)
    assert clock.at(3605.5, 14.5) == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("pictures", "late_s"),
    [
        ([(0.0, 10.0), (1.0, 11.0)], 0.0),  # in step
        ([(0.0, 10.0), (1.0, 11.4)], 0.4),  # one came late
        ([(0.0, 10.4), (1.0, 11.0), (2.0, 12.1)], 0.1),  # against the promptest one
        ([(0.0, 10.0), (0.1, 20.0)], 9.9),  # we slept: what comes now is old
        ([(0.0, 10.0), (3600.0, 11.0)], 0.0),  # the camera's clock was set
        ([(3600.0, 10.0), (0.0, 11.0)], 0.0),  # and set back
        ([(0.0, 10.0), (None, 99.0)], 0.0),  # without a stamp nobody can say
    ],
)
def test_lateness_is_measured_against_the_promptest_picture(
    pictures: list[tuple[float | None, float]], late_s: float
) -> None:
    edge = LiveEdge()
    found = [edge.late_s(stamp_s, arrived_s) for stamp_s, arrived_s in pictures]
    assert found[-1] == pytest.approx(late_s, abs=0.01)


def test_a_camera_with_a_slow_crystal_is_not_late_for_ever() -> None:
    edge = LiveEdge()
    found = [edge.late_s(second * (1 - 1e-4), second) for second in range(0, 36_000, 60)]
    assert max(found) < 0.1
