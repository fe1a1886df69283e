"""Which sequences have come, and which have not."""

from hypothesis import given
from hypothesis import strategies as st

from central.sites.rules import Came, came_of, chunks, gap, joined
from models.wire.events import ranges
from models.wire.topics import Box

BOX = Box("cp-014", "edge-01")
SEQUENCES = st.sets(st.integers(1, 10_000), min_size=1, max_size=60)


def held(*parts: set[int]) -> dict[int, bytes]:
    """What the rows hold after these transactions."""
    bits: dict[int, bytes] = {}
    for part in parts:
        for (_, _, number), chunk in chunks([Came(BOX, "k3f9", frozenset(part))]).items():
            bits[number] = joined(bits.get(number, b""), chunk.bits)
    return bits


@given(SEQUENCES, SEQUENCES)
def test_the_missing_are_named_whatever_the_order(one: set[int], other: set[int]) -> None:
    assert held(one, other) == held(other, one, one)
    rows = [(number, bits, 0) for number, bits in sorted(held(one, other).items())]
    found = gap("cp-014/edge-01", "k3f9", rows)
    first = 1 if rows[0][0] == 0 else rows[0][0] * 4096  # what lies before the first kept row was whole
    missing = set(range(first, max(one | other))) - one - other
    assert (found.last, found.missing) == (max(one | other), len(missing))
    assert {n for a, b in found.ranges for n in range(a, b + 1)} <= missing


@given(SEQUENCES, SEQUENCES)
def test_a_box_that_is_unsure_hears_what_has_come_and_nothing_else(came: set[int], asked: set[int]) -> None:
    answer = came_of(ranges(asked), held(came))
    assert {n for a, b in answer for n in range(a, b + 1)} == came & asked


def test_a_repeated_event_is_counted() -> None:
    (chunk,) = chunks([Came(BOX, "k3f9", frozenset({1, 2, 3}), frozenset({2}))]).values()
    assert chunk.repeated == 1
