"""The simulated camera: the same from the same seed, and what it is said to show."""

from collections import Counter

import numpy as np
import zxingcpp

from scripts.bench.simulator import CONDITIONS, KINDS, Stage


def test_one_seed_gives_the_same_pictures() -> None:
    one, two = (list(Stage(5, None).crops(6)) for _ in range(2))
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(one, two, strict=True))


def test_every_condition_comes_as_often_as_any_other_and_a_third_is_mixed() -> None:
    sights = list(Stage(5, None).crops(2 * len(CONDITIONS)))
    assert Counter(sight.conditions[0] for sight in sights) == dict.fromkeys(CONDITIONS, 2)
    assert Counter(sight.held.kind for sight in sights if sight.held) == {"cccd": 12, "hcert": 12}
    assert 3 <= sum(len(sight.conditions) == 2 for sight in sights) <= 14


def test_what_is_clean_and_large_says_what_is_held_up_where_it_is_said_to_lie() -> None:
    large = [
        sight
        for sight in Stage(6, None).crops(2 * len(CONDITIONS))
        if sight.conditions[0] in {"clean", "defocus 1.0"} and sight.px_per_module > 3
    ]
    assert large
    for sight in large:
        (code,) = zxingcpp.read_barcodes(sight.picture)
        assert sight.held is not None
        assert sight.corners is not None
        assert bytes(code.bytes) == sight.held.payload
        corner = code.position.top_left
        assert np.hypot(*(sight.corners[0] - (corner.x, corner.y))) < 2.5 * sight.px_per_module


def test_every_kind_has_the_versions_that_it_has_in_the_world() -> None:
    stage = Stage(7, None)
    for kind, how in KINDS.items():
        assert (stage.held(kind).side - 17) // 4 in how.versions


def test_a_sequence_is_one_code_that_moves_a_little() -> None:
    for sights in Stage(8, None).sequences(2, 2, ("cccd",)):
        assert len({sight.held.payload for sight in sights if sight.held}) == 1
        assert all(sight.picture.shape == (1080, 1920) for sight in sights)
