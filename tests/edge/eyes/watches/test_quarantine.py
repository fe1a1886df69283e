"""A dark body walks over a bright yard."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import cv2
import msgspec
import numpy as np
import pytest

from edge.eyes.frame import Frame
from edge.eyes.watches import Watch, build
from edge.eyes.watches.quarantine import QuarantineWatch
from edge.settings import Camera, Zone
from edge.sighting import Outside, Sighting, Told
from models.vision.detector import Unusable
from models.wire.events import ZoneBreached

START = datetime(2021, 9, 21, 6, tzinfo=UTC)
YARD = Zone(id="yard", kind="stay-inside", polygon=((0.05, 0.1), (0.6, 0.1), (0.6, 0.95), (0.05, 0.95)))


def yard(*zones: Zone, mode: Literal["trial", "armed", "maintenance"] = "armed", detector: str = "auto") -> Camera:
    return Camera(
        id="cam-2",
        source="yard.mp4",
        watch="quarantine",
        mode=mode,
        person_px=(60, 120),
        detector=detector,
        zones=zones or (YARD,),
    )


def walk(camera: Camera, *, key: bytes = b"boot", then: tuple[int, Camera] | None = None) -> list[Sighting]:
    """Two seconds of empty yard, then a body goes from its middle to the right, 80 pixels a second. `then`: from which
    picture on the camera has other settings. What opens.
    """
    there = [640] * 20 + [200 + 8 * i for i in range(60)]
    watch = build(camera, key=key)
    if then is None:
        told = film(watch, there)
    else:
        told = film(watch, there[: then[0]])
        told += film(build(then[1], key=key, before=watch), there[then[0] :], first=then[0])
    return [one for one in told if isinstance(one, Told) and b'"open"' in one.raw]


def film(watch: Watch, there: list[int], *, first: int = 0) -> list[Sighting]:
    """Ten pictures a second from this one on, with a body at each of these places; 640 and more: with nobody."""
    rng = np.random.default_rng(7 + first)
    told: list[Sighting] = []
    for i, x in enumerate(there, start=first):
        y: np.ndarray[Any, np.dtype[np.uint8]] = rng.normal(150, 3, (360, 640)).clip(0, 255).astype(np.uint8)
        if x < 640:
            y[180:270, x : x + 34] = rng.integers(20, 60, (90, 34))[:, : 640 - x]
        told += watch.see(
            Frame(
                camera="cam-2",
                y=y,
                stream_s=i / 10,
                arrived_s=i / 10,
                seen_at=START + timedelta(seconds=i / 10),
                corrupt=False,
                bgr=lambda y=y: cv2.cvtColor(y, cv2.COLOR_GRAY2BGR),  # type: ignore[misc]
            )
        )
    return told


def test_who_walks_out_is_told_once_with_place_time_and_picture() -> None:
    (told,) = walk(yard())
    assert isinstance(told, Told)
    assert told.event == "zone.breached.v1"
    breach = msgspec.json.decode(told.raw, type=ZoneBreached)
    assert (breach.phase, breach.zone, breach.certainty) == ("open", "yard", "left")
    assert breach.foot == pytest.approx((0.6, 0.75), abs=0.04)
    assert 4.0 <= breach.left_at <= 5.0
    assert breach.reported_at >= breach.left_at + 1.0
    assert told.still is not None
    still = cv2.imdecode(np.frombuffer(told.still, np.uint8), cv2.IMREAD_COLOR)
    assert still is not None
    assert still.shape == (360, 640, 3)


def test_the_same_boot_key_names_the_incident_alike_and_another_differently() -> None:
    def incident(key: bytes) -> str:
        (told,) = walk(yard(), key=key)
        assert isinstance(told, Told)
        return msgspec.json.decode(told.raw, type=ZoneBreached).incident

    assert incident(b"one") == incident(b"one") != incident(b"two")


def test_who_walks_in_an_ignored_part_is_not_seen() -> None:
    ignored = Zone(id="street", kind="ignore", polygon=((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
    assert walk(yard(YARD, ignored)) == []


def test_a_camera_in_maintenance_tells_nothing() -> None:
    assert walk(yard(mode="maintenance")) == []


def test_a_detector_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no such model file"):
        build(yard(detector=str(tmp_path / "absent.onnx")), key=b"boot")


def test_a_watch_says_what_it_sees_with() -> None:
    assert build(yard(), key=b"boot").detector == "person-fixed"


def breaches(told: list[Sighting]) -> list[tuple[ZoneBreached, bool]]:
    """What is told, and whether with a picture."""
    return [
        (msgspec.json.decode(one.raw, type=ZoneBreached), one.still is not None)
        for one in told
        if isinstance(one, Told)
    ]


@pytest.mark.parametrize(
    ("zone", "mode", "quiet", "pictured"),
    [
        ({}, "armed", msgspec.UNSET, True),
        ({}, "trial", "trial", True),  # the picture proves the walk test
        ({"free": [{"since": "12:30", "until": "13:30"}]}, "armed", "hours", False),  # 06:00 in Greenwich is 13:00
        ({"free": [{"since": "14:00", "until": "15:00"}]}, "armed", msgspec.UNSET, True),
        ({"free": [{"days": [7], "since": "12:30", "until": "13:30"}]}, "armed", msgspec.UNSET, True),  # a Tuesday
        ({"exits": [((0.6, 0.6), (0.6, 0.9))]}, "armed", "line", False),
        ({"exits": [((0.6, 0.1), (0.6, 0.3))]}, "armed", msgspec.UNSET, True),
    ],
)
def test_what_nobody_is_alarmed_of_is_told_with_its_reason(
    zone: dict[str, Any], mode: Literal["trial", "armed"], quiet: object, pictured: bool
) -> None:
    guarded = Zone.model_validate(YARD.model_dump() | zone)
    ((breach, shown),) = breaches(walk(yard(guarded, mode=mode)))
    assert (breach.quiet, shown) == (quiet, pictured)
    assert breach.beyond is not msgspec.UNSET
    assert breach.beyond > YARD.band_heights


def test_another_zone_does_not_forget_who_is_about_to_leave() -> None:
    """The yard stays, a second zone is drawn while somebody has just left the yard."""
    more = Zone(id="gate", kind="keep-out", polygon=((0.9, 0.0), (1.0, 0.0), (1.0, 0.2)))
    told = walk(yard(), then=(55, yard(YARD, more)))
    assert [msgspec.json.decode(one.raw, type=ZoneBreached).zone for one in told if isinstance(one, Told)] == ["yard"]


OUT = [640] * 20 + [200 + 8 * i for i in range(30)] + [440] * 30
"""To 440, which is outside, and there it stays."""
BACK = [440 - 8 * i for i in range(30)] + [200] * 10


def test_one_incident_opens_says_that_its_body_is_still_out_and_ends_when_it_is_back() -> None:
    told = film(build(yard(), key=b"boot"), OUT + BACK)
    (left, _), (back, pictured) = breaches(told)
    assert (left.phase, back.phase, back.end_reason, pictured) == ("open", "close", "returned", False)
    assert (back.incident, back.left_at, back.track) == (left.incident, left.left_at, left.track)
    assert left.shown is not msgspec.UNSET
    outside = [one for one in told if isinstance(one, Outside)]
    assert len(outside) >= 3
    assert {name for one in outside for name in one.last} == {left.incident}


def test_who_walks_out_of_the_picture_has_ended_at_the_last_sighting() -> None:
    told = film(build(yard(), key=b"boot"), [640] * 20 + [200 + 8 * i for i in range(55)] + [640] * 80)
    (left, _), (lost, _) = breaches(told)
    assert (lost.end_reason, lost.incident) == ("lost", left.incident)
    close = next(one for one in told if isinstance(one, Told) and b'"close"' in one.raw)
    assert close.seen_at == START + timedelta(seconds=lost.reported_at)


def test_whoever_is_still_out_when_yard_time_ends_is_told_then_with_a_picture() -> None:
    until = (START + timedelta(hours=7, seconds=8)).time()  # Hanoi's clock
    hours = {"since": "12:30:00", "until": until.isoformat()}
    told = breaches(
        film(build(yard(Zone.model_validate(YARD.model_dump() | {"free": [hours]})), key=b"b"), OUT + [440] * 20)
    )
    assert [(one.phase, one.quiet, shown) for one, shown in told][:2] == [
        ("open", "hours", False),
        ("update", msgspec.UNSET, True),
    ]
    assert told[1][0].reported_at == pytest.approx(8.0, abs=0.2)


def test_an_escort_permits_until_its_time_and_other_zones_end_what_goes_on() -> None:
    watch = build(yard(), key=b"boot")
    assert isinstance(watch, QuarantineWatch)
    watch.escorts = {"yard": START + timedelta(minutes=1)}
    ((left, shown),) = breaches(film(watch, OUT))
    assert (left.quiet, shown) == ("escort", False)
    other = build(yard(YARD.model_copy(update={"hold_seconds": 2.0})), key=b"boot", before=watch)
    (ended, _), *_ = breaches(film(other, [440], first=len(OUT)))
    assert (ended.incident, ended.phase, ended.end_reason, ended.quiet) == (left.incident, "close", "ended", "escort")
