from datetime import UTC, datetime

from central.overview.rules import places

AT = datetime(2021, 9, 21, 0, 0, tzinfo=UTC)
LATER = datetime(2021, 9, 21, 1, 0, tzinfo=UTC)


def test_the_worst_place_comes_first_and_each_is_counted_for_itself() -> None:
    found = places(
        alerts=[("q-1", LATER), ("q-1", AT), ("q-2", LATER)],
        cameras=[("q-1", True), ("q-3", True), ("cp-1", False), ("cp-1", True)],
        boxes=[("q-1", True), ("cp-2", False)],
        streets=[("cp-1", True), ("cp-1", False)],
    )
    assert [row.site for row in found] == ["q-1", "q-2", "cp-1", "cp-2", "q-3"]
    first = found[0]
    assert (first.waiting, first.oldest, first.seen, first.cameras) == (2, AT, 1, 1)
    assert (found[2].seen, found[2].cameras, found[2].crowded) == (1, 2, 1)
    assert found[3].boxes_away == 1


def test_only_what_is_seen_whole_is_called_calm() -> None:
    calm = {row.site: row.calm for row in places([], [("a", True), ("b", False)], [("c", True)], [])}
    assert calm == {"a": True, "b": False, "c": False}


def test_nothing_is_no_place() -> None:
    assert places([], [], [], []) == []
