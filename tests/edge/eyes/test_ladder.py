from hypothesis import given
from hypothesis import strategies as st

from edge.eyes.ladder import RANK, STEPS, Ladder

WATCHES = {"a": "traffic", "b": "traffic", "c": "quarantine", "d": "checkpoint"}


def steps_after(seconds: int, late_s: float, ladder: Ladder | None = None, *, since: int = 0) -> dict[str, str]:
    ladder = ladder or Ladder()
    found: dict[str, str] = {}
    for second in range(since, since + seconds):
        found = dict(ladder.see(WATCHES, dict.fromkeys(WATCHES, late_s), float(second)))
    return found


def test_a_box_with_room_leaves_nothing_out() -> None:
    assert set(steps_after(100, 0.0).values()) == {"full"}


def test_traffic_gives_way_wholly_before_quarantine_and_that_before_a_checkpoint() -> None:
    assert steps_after(3, 1.0) == {"a": "still", "b": "still", "c": "full", "d": "full"}
    assert steps_after(11, 1.0) == {"a": "paused", "b": "paused", "c": "full", "d": "full"}
    assert steps_after(13, 1.0)["c"] == "still"
    assert steps_after(60, 1.0) == dict.fromkeys(WATCHES, "paused")


def test_what_was_taken_last_comes_back_first_and_slowly() -> None:
    ladder = Ladder()
    assert steps_after(19, 1.0, ladder)["d"] == "still"
    assert steps_after(12, 0.0, ladder, since=19)["d"] == "full"
    assert steps_after(200, 0.0, ladder, since=31) == dict.fromkeys(WATCHES, "full")


def test_a_camera_that_is_gone_is_forgotten() -> None:
    ladder = Ladder()
    steps_after(60, 1.0, ladder)
    assert ladder.see({"a": "traffic"}, {}, 61.0) == {"a": "paused"}
    assert ladder.see(WATCHES, {}, 62.0)["d"] == "full"


@given(st.lists(st.dictionaries(st.sampled_from(sorted(WATCHES)), st.floats(0, 5)), max_size=150))
def test_whatever_happens_no_camera_is_worse_off_than_a_less_important_one(late: list[dict[str, float]]) -> None:
    ladder = Ladder()
    before = dict.fromkeys(WATCHES, 0)
    for second, seen in enumerate(late):
        steps = {camera: STEPS.index(step) for camera, step in ladder.see(WATCHES, seen, float(second)).items()}
        assert sum(abs(steps[camera] - before[camera]) for camera in WATCHES) <= 1
        for camera, step in steps.items():
            worse = [other for other in WATCHES if RANK[WATCHES[other]] < RANK[WATCHES[camera]]]
            assert step == 0 or all(steps[other] == len(STEPS) - 1 for other in worse)
        before = steps
