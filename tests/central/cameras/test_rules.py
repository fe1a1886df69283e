from typing import Any

import pytest

from central.cameras import rules
from central.cameras.rules import Unfit

TRIANGLE = [(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)]
FILE = """site: q-01
edge: edge-01
data: /var/lib/cua-o
cameras:
  - id: yard
    source: rtsp://guard:s3cr3t@10.0.0.5:554/main?token=s3cr3t
    watch: quarantine
    hold_seconds: 5
    zones:
      - {id: inner, kind: stay-inside, polygon: [[0, 0], [1, 0], [1, 1]], free: [{days: [6], since: "22:00"}]}
"""


def document() -> dict[str, Any]:
    return rules.read(FILE)


def refused(make: Any) -> str:
    with pytest.raises(Unfit) as error:
        make()
    return error.value.key


def test_what_a_page_shows_of_an_address_is_its_host() -> None:
    (yard,) = rules.shown(document())
    assert yard.source == "rtsp://10.0.0.5:554/…"
    assert "s3cr3t" not in repr(yard)


def test_a_file_that_nobody_changed_says_the_same_when_it_is_written_again() -> None:
    assert rules.read(rules.write(document())) == document()


def test_an_empty_address_leaves_the_one_that_is_there() -> None:
    changed = rules.with_camera(document(), "yard", {"id": "yard", "source": "", "mode": "trial"})
    (yard,) = changed["cameras"]
    assert yard["source"] == document()["cameras"][0]["source"]
    assert (yard["mode"], yard["hold_seconds"]) == ("trial", 5)
    assert changed["data"] == "/var/lib/cua-o"


def test_a_camera_comes_and_goes() -> None:
    more = rules.with_camera(document(), None, {"id": "gate", "source": "rtsp://cam/a", "watch": "checkpoint"})
    assert [camera["id"] for camera in more["cameras"]] == ["yard", "gate"]
    assert rules.without_camera(more, "gate") == document()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"id": "yard", "source": "rtsp://cam/a"}, "taken"),
        ({"id": "Yard 2", "source": "rtsp://cam/a"}, "name"),
        ({"id": "gate", "source": ""}, "no_source"),
    ],
)
def test_a_camera_that_cannot_be_added_says_why(told: dict[str, str], why: str) -> None:
    assert refused(lambda: rules.with_camera(document(), None, told)) == why


def test_the_last_camera_stays_and_a_gone_one_is_told() -> None:
    assert refused(lambda: rules.without_camera(document(), "yard")) == "last"
    assert refused(lambda: rules.with_camera(document(), "gone", {})) == "gone"


def test_a_zone_that_is_drawn_anew_and_renamed_keeps_its_hours() -> None:
    drawn = [{"id": "court", "was": "inner", "kind": "keep-out", "polygon": TRIANGLE}]
    (zone,) = rules.with_zones(document(), "yard", drawn)["cameras"][0]["zones"]
    assert zone["free"] == [{"days": [6], "since": "22:00"}]
    assert (zone["id"], zone["kind"], zone["polygon"][2]) == ("court", "keep-out", [0.5, 0.9])


def test_a_zone_that_guards_nobody_any_more_has_no_hours() -> None:
    drawn = [{"id": "inner", "was": "inner", "kind": "ignore", "polygon": TRIANGLE}]
    (zone,) = rules.with_zones(document(), "yard", drawn)["cameras"][0]["zones"]
    assert "free" not in zone


@pytest.mark.parametrize(
    ("drawn", "why"),
    [
        ([{"id": "a", "kind": "ignore", "polygon": TRIANGLE}] * 2, "zone_twice"),
        ([{"id": "A b", "kind": "ignore", "polygon": TRIANGLE}], "zone_name"),
        ([{"id": "a", "kind": "ignore", "polygon": TRIANGLE[:2]}], "zone_corners"),
        ([{"id": "a", "kind": "exit-line", "polygon": TRIANGLE[:1]}], "zone_corners"),
    ],
)
def test_zones_that_cannot_be_say_why(drawn: list[dict[str, Any]], why: str) -> None:
    assert refused(lambda: rules.with_zones(document(), "yard", drawn)) == why


@pytest.mark.parametrize(
    ("camera", "was", "told", "arms"),
    [
        ("yard", "trial", {"mode": "armed"}, True),
        ("yard", None, {"mode": "armed"}, False),  # it is armed already: another setting changes
        ("yard", "maintenance", {"mode": "armed"}, True),
        ("yard", "armed", {"mode": "trial"}, False),
        (None, None, {"id": "gate", "mode": "armed"}, True),
        ("yard", "trial", {"mode": "armed", "watch": "traffic"}, False),
    ],
)
def test_whether_a_change_puts_a_camera_on_guard(
    camera: str | None, was: str | None, told: dict[str, Any], arms: bool
) -> None:
    old = document()
    if was is not None:
        old["cameras"][0]["mode"] = was
    assert rules.arms(old, camera, {"watch": "quarantine"} | told) is arms
