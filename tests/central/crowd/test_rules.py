import pytest

from central.crowd.rules import (
    MOVES,
    District,
    State,
    View,
    districts,
    hull,
    level_of,
    plan,
    rings,
    sources,
    trend,
    view_of,
)


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ([0, 2], 2),
        ([3, None], 3),  # one camera that sees a crowd is enough
        ([1, None], None),  # what is not seen may be crowded still
        ([None], None),
        ([], None),
    ],
)
def test_the_level_of_a_street_is_the_worst_and_calm_only_where_all_is_seen(
    told: list[int | None], level: int | None
) -> None:
    assert level_of(told) == level


def test_what_is_dismissed_stays_so_and_everything_can_be_dismissed() -> None:
    assert MOVES[State.DISMISSED] == frozenset()
    assert set(sources(State.DISMISSED)) == set(State) - {State.DISMISSED}
    assert sources(State.SENT) == ()


@pytest.mark.parametrize("view", [View(), View(page=3, district="Hai Bà Trưng"), View(district="a,b~c/.d")])
def test_a_view_survives_the_name_of_its_topic(view: View) -> None:
    assert view_of(str(view)) == view
    assert "," not in str(view)


@pytest.mark.parametrize("words", ["", "0.", "-1.", "²", "x.y", "9" * 400])
def test_whatever_stands_there_is_a_page(words: str) -> None:
    assert view_of(words).page >= 1


def test_a_district_is_as_full_as_its_fullest_street_that_is_seen() -> None:
    told = [("A", 4, False), ("A", 1, True), ("B", 3, True), ("B", None, True), ("C", None, True)]
    assert districts(told) == [
        District(name="B", level=3, zones=2, crowded=1, unseen=1),
        District(name="A", level=1, zones=2, crowded=0, unseen=1),
        District(name="C", level=None, zones=1, crowded=0, unseen=1),
    ]


@pytest.mark.parametrize(
    ("now", "before", "is_"), [(20, 10, 1), (10, 20, -1), (11, 10, 0), (1, 0, 0), (2, 0, 1), (None, 4, 0), (4, None, 0)]
)
def test_a_street_fills_by_a_quarter_and_by_two_bodies(now: float | None, before: float | None, is_: int) -> None:
    assert trend(now, before) == is_


@pytest.mark.parametrize(
    ("geometry", "lines"),
    [
        (None, 0),
        ({"type": "Point", "coordinates": [105.8, 21.0]}, 1),
        ({"type": "LineString", "coordinates": [[105.8, 21.0], [105.9, 21.0]]}, 1),
        ({"type": "MultiPolygon", "coordinates": [[[[1, 1], [2, 1], [2, 2], [1, 1]]], [[[3, 3], [4, 3], [4, 4]]]]}, 2),
        ({"type": "LineString", "coordinates": [["x", 21.0], [999, 21.0]]}, 0),
        ({"coordinates": {"a": 1}}, 0),
        ({"coordinates": []}, 0),
    ],
)
def test_a_geometry_is_its_lines_and_junk_is_none(geometry: dict[str, object] | None, lines: int) -> None:
    assert len(rings(geometry)) == lines


def test_a_hull_leaves_out_what_lies_inside() -> None:
    assert set(hull([(0, 0), (4, 0), (4, 4), (0, 4), (2, 2), (1, 3)])) == {(0, 0), (4, 0), (4, 4), (0, 4)}


def test_the_map_draws_an_imported_outline_or_what_the_streets_span_and_stays_on_the_paper() -> None:
    def line(x: float, y: float) -> dict[str, object]:
        return {"type": "LineString", "coordinates": [[x, y], [x + 0.01, y], [x, y + 0.01]]}

    outline = {"type": "Polygon", "coordinates": [[[105.8, 21.0], [105.9, 21.0], [105.9, 21.1], [105.8, 21.0]]]}
    drawn = plan([("Phố A", "A", line(105.85, 21.05)), ("Phố B", "B", line(105.7, 20.9))], {"A": outline})
    assert [(shape.name, shape.district) for shape in drawn.shapes] == [
        ("A", True), ("B", True), ("Phố A", False), ("Phố B", False),
    ]  # fmt: skip
    numbers = [float(n) for shape in drawn.shapes for n in shape.path.replace("M", " ").replace("z", " ").split()]
    assert min(numbers) >= 0
    assert max(numbers) <= 1000
    assert plan([("Phố A", "A", None)], {}).shapes == ()
