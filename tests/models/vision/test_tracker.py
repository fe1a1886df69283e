import numpy as np
import pytest

from models.vision.tracker import Floats, Tracker, best_pairs, overlap


def bodies(*feet: tuple[float, float]) -> Floats:
    return np.array([(x - 15, y - 80, x + 15, y) for x, y in feet], dtype=np.float64).reshape(-1, 4)


def follow(tracker: Tracker, *pictures: Floats, every_s: float = 0.2, start_s: float = 0.0) -> list[set[int]]:
    """The ids seen in each picture."""
    seen = []
    for i, boxes in enumerate(pictures):
        tracks = tracker.update(boxes, np.ones(len(boxes)), start_s + i * every_s)
        seen.append({track.id for track in tracks if track.seen})
    return seen


def test_a_body_is_told_after_two_sightings_and_keeps_its_id() -> None:
    seen = follow(Tracker(), *(bodies((100 + 8 * i, 200)) for i in range(10)))
    assert seen == [set()] + [{1}] * 9


def test_two_who_cross_keep_their_ids() -> None:
    tracker = Tracker()
    follow(tracker, *(bodies((100 + 10 * i, 200), (300 - 10 * i, 215)) for i in range(21)))
    right, left = sorted(
        tracker.update(bodies((310, 200), (90, 215)), np.ones(2), 4.2), key=lambda track: -track.foot[0]
    )
    assert (right.id, left.id) == (1, 2)


def test_a_fast_bike_keeps_its_id_where_its_boxes_no_longer_overlap() -> None:
    seen = follow(Tracker(), *(bodies((50 + 60 * i, 200)) for i in range(8)))
    assert set().union(*seen) == {1}


def test_a_body_hidden_for_a_second_comes_back_as_itself() -> None:
    tracker = Tracker()
    follow(tracker, *(bodies((100 + 5 * i, 200)) for i in range(6)), *(bodies() for _ in range(5)))
    (track,) = tracker.update(bodies((150, 200)), np.ones(1), 2.2)
    assert (track.id, track.seen) == (1, True)


def test_a_lost_track_is_told_as_not_seen_and_then_forgotten() -> None:
    tracker = Tracker()
    follow(tracker, *(bodies((100, 200)) for _ in range(4)))
    (track,) = tracker.update(bodies(), np.zeros(0), 1.0)
    assert not track.seen
    assert track.last_s == pytest.approx(0.6)
    assert tracker.update(bodies(), np.zeros(0), 4.0) == []


def test_an_unsure_box_continues_a_track_but_begins_none() -> None:
    tracker = Tracker()
    follow(tracker, *(bodies((100, 200)) for _ in range(4)))
    tracks = tracker.update(bodies((102, 200), (400, 200)), np.array([0.3, 0.3]), 0.8)
    assert [(track.id, track.seen) for track in tracks] == [(1, True)]


def test_the_same_walk_gives_the_same_tracks_at_any_picture_rate() -> None:
    for every_s in (0.04, 0.1, 0.2):
        steps = round(4 / every_s)
        seen = follow(Tracker(), *(bodies((50 + 60 * i * every_s, 200)) for i in range(steps)), every_s=every_s)
        assert set().union(*seen) == {1}


def test_the_number_of_tracks_is_bounded_and_what_is_refused_is_counted() -> None:
    tracker = Tracker(most=5)
    follow(tracker, *(bodies(*((60.0 * i, 200.0) for i in range(8))) for _ in range(4)))
    assert len(tracker.update(bodies(), np.zeros(0), 0.9)) == 5
    assert tracker.refused >= 3


def test_overlap_is_the_share_of_the_union() -> None:
    assert overlap(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])) == pytest.approx(
        np.array([[1 / 3, 0.0]])
    )


def test_the_best_pair_is_taken_first_and_everybody_once() -> None:
    rows, columns = best_pairs(np.array([[0.9, 0.8], [0.95, 0.1]]), 0.05)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(1, 0), (0, 1)]
