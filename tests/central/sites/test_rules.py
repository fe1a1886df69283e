"""Which sequences have come, and which have not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.sites.rules import (
    Beat,
    Came,
    EdgeRow,
    Seen,
    Span,
    beat,
    came_of,
    chunks,
    coverage,
    folded,
    gap,
    joined,
    seeing,
)
from models.wire.events import Machine, ranges
from models.wire.topics import Box

BOX = Box("cp-014", "edge-01")
SEQUENCES = st.sets(st.integers(1, 10_000), min_size=1, max_size=60)


def held(*parts: set[int]) -> list[Seen]:
    """What the rows hold after these transactions."""
    bits: dict[int, bytes] = {}
    for part in parts:
        for (_, _, number), chunk in chunks([Came(BOX, "k3f9", frozenset(part))]).items():
            bits[number] = joined(bits.get(number, b""), chunk.bits)
    return [Seen(number, bits[number]) for number in sorted(bits)]


@given(SEQUENCES, SEQUENCES)
def test_the_missing_are_named_whatever_the_order(one: set[int], other: set[int]) -> None:
    assert held(one, other) == held(other, one, one)
    rows = held(one, other)
    found = gap("cp-014/edge-01", "k3f9", rows)
    first = max(1, rows[0].chunk * 4096)  # what lies before the first kept row was whole
    missing = set(range(first, max(one | other))) - one - other
    assert (found.last, found.missing) == (max(one | other), len(missing))
    assert {n for a, b in found.ranges for n in range(a, b + 1)} <= missing


@given(SEQUENCES, SEQUENCES)
def test_a_box_that_is_unsure_hears_what_has_come_and_nothing_else(came: set[int], asked: set[int]) -> None:
    answer = came_of(ranges(asked), held(came))
    assert {n for a, b in answer for n in range(a, b + 1)} == came & asked


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 9_000)), max_size=4), SEQUENCES)
def test_folded_rows_say_the_same(runs: list[tuple[int, int]], more: set[int]) -> None:
    came = {n for first, length in runs for n in range(first, first + length)}
    rows = held(came)
    kept = folded(rows)
    # a stray row of what was folded already, as a duplicate leaves one behind
    strayed = sorted([*kept, *held(more & came)], key=lambda row: (row.chunk, -row.whole))
    assert gap("b", "e", kept or [Seen(0, b"")]) == gap("b", "e", rows or [Seen(0, b"")])
    for told in (kept, strayed, folded(strayed)):
        answer = came_of(ranges(came | more), told)
        assert {n for a, b in answer for n in range(a, b + 1)} == came
    assert sum(row.all_came for row in kept) <= len(runs)


def test_a_repeated_event_is_counted() -> None:
    (chunk,) = chunks([Came(BOX, "k3f9", frozenset({1, 2, 3}), frozenset({2}))]).values()
    assert chunk.repeated == 1


START = datetime(2021, 9, 21, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def test_a_state_that_goes_on_is_one_span_and_an_outage_of_the_line_heals_by_the_boxs_own_record() -> None:
    first = beat(None, Beat(kind="seen", began=at(0), at=at(5)))
    assert first == Span(kind="seen", started=at(0), until=at(5))
    assert beat(first, Beat(kind="seen", began=at(0), at=at(600))) == Span(kind="seen", started=at(0), until=at(600))


def test_between_two_states_only_what_the_box_vouches_for_counts() -> None:
    last = Span(kind="seen", started=at(0), until=at(10))
    assert beat(last, Beat(kind="stalled", began=at(13), at=at(15))) == Span(
        kind="stalled", started=at(13), until=at(15)
    )
    assert beat(last, Beat(kind="seen", began=at(14), at=at(15))) == Span(kind="seen", started=at(14), until=at(15))
    assert beat(last, Beat(kind=None, began=at(12), at=at(15))) is None


@pytest.mark.parametrize(
    ("state", "mode", "worth"),
    [
        ("live", "armed", "seen"),
        ("live", "trial", "seen"),
        ("live", "maintenance", "blind"),
        ("blind", "armed", "blind"),
        ("disabled", "armed", "blind"),
        ("stalled", "armed", "stalled"),
        ("refused", "armed", "stalled"),
        ("unknown", "armed", None),
    ],
)
def test_what_a_cameras_state_is_worth(state: str, mode: str, worth: str | None) -> None:
    assert seeing(state, mode) == worth


moments = st.floats(-100, 5000, allow_nan=False).map(at)
kinds = st.sampled_from(["seen", "blind", "stalled"])


@given(st.lists(st.builds(Span, kind=kinds, started=moments, until=moments), max_size=40), moments, moments)
def test_the_parts_are_the_whole_whatever_spans_there_are(spans: list[Span], one: datetime, other: datetime) -> None:
    since, until = min(one, other), max(one, other)
    found = coverage(spans, since, until)
    parts = (found.seen, found.blind, found.stalled, found.unknown)
    assert sum(parts, timedelta()) == until - since
    assert min(parts) >= timedelta()


@given(
    st.lists(st.tuples(st.sampled_from(["live", "stalled", "blind", "dead"]), st.integers(1, 60)), max_size=30),
    st.lists(st.booleans(), min_size=400, max_size=400),
    st.lists(st.floats(-90_000, 90_000), min_size=31, max_size=31),
)
def test_no_second_counts_as_seen_that_was_not(
    lives: list[tuple[str, int]], lost: list[bool], clocks: list[float]
) -> None:
    """A camera's states one after the other, a word every five seconds, some of them lost. Dead: its box is off. Each
    state brings another wall clock.
    """
    truth: list[str] = []
    spans: dict[datetime, Span] = {}
    last: Span | None = None
    for (state, seconds), clock in zip(lives, clocks, strict=False):
        began = len(truth)
        truth += [state] * seconds
        for second in range(began, len(truth)):
            if second % 5 or state == "dead" or lost[second // 5]:
                continue
            # the box's own clock stands in both, and goes out
            told_at, since = second + clock, began + clock
            told = Beat(kind=seeing(state, "armed"), began=at(second - (told_at - since)), at=at(second))
            span = beat(last, told)
            if span is not None:
                last = spans[span.started] = span
    found = coverage(spans.values(), at(0), at(len(truth)))
    for part, name in ((found.seen, "live"), (found.stalled, "stalled"), (found.blind, "blind")):
        assert part <= timedelta(seconds=truth.count(name) + 0.001 * len(lives))
    whole = found.seen + found.blind + found.stalled + found.unknown
    assert whole == timedelta(seconds=len(truth))


def box_row(skew: float | None, machine: Machine | None) -> EdgeRow:
    at = datetime(2021, 9, 21, tzinfo=UTC)
    return EdgeRow(
        site="a", edge="b", boot="c", state="online", at=at, skew=skew, waiting=0, version="1", machine=machine
    )


@pytest.mark.parametrize(
    ("skew", "told", "wants"),
    [
        (None, None, ()),
        (-3.0, None, ("clock",)),
        (0.1, {}, ()),
        (0.1, {"disk": 0.95, "celsius": 91.0}, ("disk", "hot")),
        (9.0, {"load": 2.0, "memory": 0.97}, ("clock", "load", "memory")),
    ],
)
def test_a_box_that_works_may_want_something(
    skew: float | None, told: dict[str, float] | None, wants: tuple[str, ...]
) -> None:
    well = {"load": 0.3, "memory": 0.5, "disk": 0.2}
    machine = None if told is None else Machine(up_s=1, **(well | told))
    assert box_row(skew, machine).wants == wants
