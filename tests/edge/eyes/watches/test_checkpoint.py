"""Rendered passes are held up to a rendered lane."""

import hashlib
import hmac
import io
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import segno

from edge.eyes.frame import Frame
from edge.eyes.watches import Watch, build
from edge.settings import Camera, Zone
from edge.sighting import Reading, Scanned, Sighting
from models.vision.qr import Pixels, QrReader
from scripts.bench.simulator import Condition, Stage

KEY = b"boot"
AN = "012345678901|NGUYEN VAN AN|1990-05-17|0|123456789012345678|1"
BINH = "098765432109|TRAN THI BINH|1985-01-02|0|876543210987654321|2"
START = datetime(2021, 9, 21, 6, tzinfo=UTC)
LANES = (
    Zone(id="left", kind="lane", polygon=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))),
    Zone(id="right", kind="lane", polygon=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))),
)


def lane(*zones: Zone, hold_seconds: float = 3.0, stop: Literal["person", "vehicle"] = "person") -> Watch:
    camera = Camera(
        id="cam-1", source="lane.mp4", watch="checkpoint", zones=zones, hold_seconds=hold_seconds, stop=stop
    )
    return build(camera, key=KEY)


def picture(*codes: tuple[str, int, int], px: int = 4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    y = np.full((480, 640), 110, np.uint8)
    for payload, left, top in codes:
        out = io.BytesIO()
        segno.make_qr(payload, error="m").save(out, kind="png", scale=px)
        code = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert code is not None
        y[top : top + code.shape[0], left : left + code.shape[1]] = code
    return y


def frame(y: np.ndarray[Any, np.dtype[np.uint8]], stream_s: float) -> Frame:
    return Frame(
        camera="cam-1",
        y=y,
        stream_s=stream_s,
        arrived_s=100.0 + stream_s,
        seen_at=START + timedelta(seconds=stream_s),
        corrupt=False,
        bgr=lambda: cv2.cvtColor(y, cv2.COLOR_GRAY2BGR),
    )


def show(watch: Watch, *codes: tuple[str, int, int], from_s: float, to_s: float) -> list[Sighting]:
    y = picture(*codes)
    told = []
    for i in range(round((to_s - from_s) * 10)):
        told += watch.see(frame(y, from_s + i / 10))
    return told


def scans(told: list[Sighting]) -> list[Scanned]:
    return [one for one in told if isinstance(one, Scanned)]


def test_a_pass_is_read_in_its_first_picture_and_the_screen_hears_of_it_first() -> None:
    reading, scanned = lane().see(frame(picture((AN, 200, 100)), 0.0))
    assert isinstance(reading, Reading)
    assert isinstance(scanned, Scanned)
    assert scanned.code.kind == "personal"
    assert scanned.payload_key == hmac.new(KEY, AN.encode(), hashlib.sha256).digest()[:16]
    assert (scanned.repeat, scanned.stream_s, scanned.lane) == (0, 0.0, None)
    assert scanned.px_per_module is not None
    assert 3.5 < scanned.px_per_module < 4.5


def test_the_crop_is_a_small_picture_of_the_person() -> None:
    (scanned,) = scans(lane().see(frame(picture((AN, 200, 100)), 0.0)))
    assert scanned.crop is not None
    crop = cv2.imdecode(np.frombuffer(scanned.crop, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert crop is not None
    assert 200 <= max(crop.shape) <= 640
    assert not QrReader(thorough=True).read(crop.astype(np.uint8)), "nobody reads it off the screen"


def test_a_pass_held_up_is_one_scan_and_repeats_at_most_once_a_second() -> None:
    told = scans(show(lane(), (AN, 200, 100), from_s=0.0, to_s=8.0))
    assert [one.repeat for one in told] == list(range(len(told)))
    assert 4 <= len(told) <= 8
    assert all(one.crop is None for one in told[1:])


def test_a_pass_that_was_away_for_the_hold_is_scanned_anew() -> None:
    watch = lane()
    show(watch, (AN, 200, 100), from_s=0.0, to_s=0.5)
    show(watch, from_s=0.5, to_s=2.0)
    (again,) = scans(show(watch, (AN, 200, 100), from_s=2.0, to_s=2.5))
    show(watch, from_s=2.5, to_s=6.0)
    anew = scans(show(watch, (AN, 200, 100), from_s=6.0, to_s=6.5))
    assert again.repeat == 1
    assert [one.repeat for one in anew] == [0]


def test_two_people_in_one_picture_are_two_scans_each_in_its_lane() -> None:
    told = scans(lane(*LANES).see(frame(picture((AN, 60, 100), (BINH, 400, 150)), 0.0)))
    assert {(one.code.name, one.lane) for one in told} == {("NGUYEN VAN AN", "left"), ("TRAN THI BINH", "right")}


def test_a_code_beside_the_lane_is_not_read() -> None:
    assert not scans(show(lane(LANES[0]), (AN, 400, 100), from_s=0.0, to_s=1.0))


def test_a_small_code_is_read_once_it_is_enlarged() -> None:
    y = picture((AN, 200, 100), px=8)
    small = cv2.resize(y, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.uint8)
    rng = np.random.default_rng(1)
    watch = lane()
    told: list[Sighting] = []
    for i in range(10):
        table = np.full((480, 640), 110, np.int16)
        table[100 + i : 100 + i + small.shape[0], 50 : 50 + small.shape[1]] = small
        noisy = (cv2.GaussianBlur(table.astype(np.float32), (0, 0), 0.7) + rng.normal(0, 2, table.shape)).clip(0, 255)
        told += watch.see(frame(noisy.astype(np.uint8), i / 10))
    assert scans(told)


def test_junk_gets_an_answer_too() -> None:
    (scanned,) = scans(lane().see(frame(picture(("just a poster", 200, 100)), 0.0)))
    assert scanned.code.kind == "unknown"


def test_an_empty_lane_says_nothing() -> None:
    assert show(lane(), from_s=0.0, to_s=5.0) == []


def test_a_pass_already_there_in_a_still_picture_is_found() -> None:
    watch = lane()
    show(watch, from_s=0.0, to_s=10.0)
    assert scans(show(watch, (AN, 200, 100), from_s=10.0, to_s=10.2))


def film(watch: Watch, sight: Pixels, seconds: float, shake: int = 3) -> list[tuple[float, Sighting]]:
    """A hand that is never quite still holds this before a grey wall."""
    told = []
    for i in range(round(seconds * 10)):
        y = np.full((480, 640), 110, np.uint8)
        top, left = 60 + shake * (i % 2), 100 + shake * (i // 2 % 2)
        y[top : top + sight.shape[0], left : left + sight.shape[1]] = sight
        told += [(i / 10, one) for one in watch.see(frame(y, i / 10))]
    return told


def unreadable(side_px: float, condition: Condition) -> Pixels:
    stage = Stage(5, None)
    return stage.show(stage.held("cccd"), (300, 300), side_px, condition).picture


@pytest.mark.parametrize(
    ("side_px", "condition", "advice"),
    [
        (58, Condition(motion_px=2.0), "closer"),
        (110, Condition(motion_px=7.0), "still"),
        (90, Condition(gain=0.2, noise=5.0, motion_px=5.0), "brighter"),
    ],
)
def test_who_holds_a_code_that_cannot_be_read_is_told_why_within_a_second(
    side_px: float, condition: Condition, advice: str
) -> None:
    told = film(lane(), unreadable(side_px, condition), 1.1)
    assert not scans([one for _, one in told]), "it can be read: make it worse"
    reading = [(at, one) for at, one in told if isinstance(one, Reading)]
    assert min(at for at, one in reading if one.advice) < 1.0
    assert {one.advice for _, one in reading if one.advice} == {advice}


def test_a_scene_without_a_code_gives_no_advice() -> None:
    stage = Stage(6, None)
    sight = next(iter(stage.empty(1, (400, 400)))).picture
    assert film(lane(), sight, 3.0) == []


def test_a_code_on_its_way_out_of_the_picture_is_not_announced_again() -> None:
    watch = lane()
    show(watch, (AN, 200, 100), from_s=0.0, to_s=1.0)
    leaving = cv2.GaussianBlur(picture((AN, 200, 100)), (0, 0), 3.5).astype(np.uint8)
    assert not [one for i in range(8) for one in watch.see(frame(leaving, 1.0 + i / 10)) if isinstance(one, Reading)]


def test_two_people_with_the_same_code_at_two_places_are_two_scans() -> None:
    watch = lane()
    told = scans(show(watch, (AN, 40, 100), (AN, 420, 150), from_s=0.0, to_s=2.5))
    assert [one.repeat for one in told].count(0) == 2
    assert len({one.payload_key for one in told}) == 2
    assert {one.code.name for one in told} == {"NGUYEN VAN AN"}
    first, second = (one.payload_key for one in told if not one.repeat)
    left = scans(show(watch, (AN, 40, 100), from_s=2.5, to_s=4.0))
    assert {one.payload_key for one in left} == {first}, "each keeps its own name"
    assert {one.repeat for one in left}.isdisjoint({0})
    assert second != first


def test_the_same_code_in_another_lane_is_another_scan_and_one_that_moves_is_none() -> None:
    watch = lane(*LANES)
    told = scans(show(watch, (AN, 20, 100), from_s=0.0, to_s=0.5))
    for i in range(6):
        told += scans(show(watch, (AN, 20 + 12 * i, 100), from_s=0.5 + i / 10, to_s=0.6 + i / 10))
    assert [one.repeat for one in told if not one.repeat] == [0]
    other = scans(show(watch, (AN, 420, 100), from_s=2.0, to_s=2.3))
    assert [(one.lane, one.repeat) for one in other] == [("right", 0)]


def stopping(watch: Watch, *codes: tuple[str, int, int], from_s: float, to_s: float, car: int | None) -> list[Scanned]:
    """So many seconds of a lane in which a car stands, or none."""
    told = []
    noise = np.random.default_rng(2)
    for i in range(round((to_s - from_s) * 10)):
        y = picture(*codes)
        if car is not None:
            y[300:470, 60 : 60 + 420] = 110 * car - 70
        y = (y + noise.normal(0, 1.5, y.shape)).clip(0, 255).astype(np.uint8)
        told += watch.see(frame(y, from_s + i / 10))
    return scans(told)


def test_codes_of_one_vehicle_are_one_stop_until_the_lane_is_empty() -> None:
    watch = lane(stop="vehicle")
    stopping(watch, from_s=0.0, to_s=2.0, car=None)
    first = stopping(watch, (AN, 60, 60), from_s=2.0, to_s=3.0, car=1)
    stopping(watch, from_s=3.0, to_s=15.0, car=1)  # the other one looks for the phone
    first += stopping(watch, (BINH, 360, 60), from_s=15.0, to_s=16.0, car=1)
    stopping(watch, from_s=16.0, to_s=20.0, car=None)
    second = stopping(watch, (BINH, 360, 60), from_s=20.0, to_s=21.0, car=2)
    assert len({one.payload_key for one in first}) == 2
    assert len({one.stop for one in first}) == 1
    assert {one.stop for one in second}.isdisjoint({one.stop for one in first} | {None})


def test_each_lane_has_its_own_vehicle() -> None:
    watch = lane(*LANES, stop="vehicle")
    told = stopping(watch, (AN, 60, 60), (BINH, 360, 60), from_s=0.0, to_s=1.0, car=None)
    assert len({(one.lane, one.stop) for one in told}) == 2
    assert len({one.stop for one in told}) == 2


def test_where_people_walk_there_are_no_stops() -> None:
    assert {one.stop for one in scans(show(lane(), (AN, 60, 60), from_s=0.0, to_s=0.5))} == {None}
