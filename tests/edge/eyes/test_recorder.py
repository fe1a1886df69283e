from fractions import Fraction

from edge.eyes.recorder import Film, Reel, Unit

FILM = Film("h264", b"", Fraction(1, 90_000))


def fill(reel: Reel, since: int, until: int, *, film: Film = FILM, size: int = 10) -> None:
    """One packet a second, a key frame every second one."""
    for second in range(since, until):
        reel.put(Unit(film, float(second), second * 90_000, None, second % 2 == 0, bytes(size)))


def test_a_reel_keeps_whole_groups_and_no_more_than_it_needs() -> None:
    reel = Reel(seconds=12)
    fill(reel, 0, 60)
    kept = reel.cut(0.0, 100.0)
    assert kept[0].key
    assert (kept[0].arrived_s, kept[-1].arrived_s) == (46.0, 59.0)
    assert reel.size_bytes == 140


def test_a_cut_begins_at_the_key_frame_before_its_time() -> None:
    reel = Reel(seconds=12)
    fill(reel, 0, 20)
    assert [unit.arrived_s for unit in reel.cut(13.5, 16.0)] == [12.0, 13.0, 14.0, 15.0, 16.0]


def test_a_cut_never_joins_two_connections() -> None:
    reel = Reel(seconds=12)
    fill(reel, 0, 6)
    fill(reel, 6, 10, film=Film("h264", b"other", Fraction(1, 90_000)))
    assert [unit.arrived_s for unit in reel.cut(0.0, 100.0)] == [6.0, 7.0, 8.0, 9.0]


def test_a_reel_is_bounded_in_bytes_too() -> None:
    reel = Reel(seconds=12, most_bytes=100)
    fill(reel, 0, 20, size=30)
    assert reel.size_bytes <= 100
    assert reel.cut(0.0, 100.0)[0].key


def test_nothing_is_kept_before_the_first_key_frame() -> None:
    reel = Reel()
    reel.put(Unit(FILM, 1.0, 0, None, False, b"x"))
    assert reel.cut(0.0, 9.0) == []
