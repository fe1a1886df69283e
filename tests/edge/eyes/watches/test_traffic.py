"""Dark vehicles drive down a bright street."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from edge.eyes.frame import Frame
from edge.eyes.watches import build
from edge.eyes.watches.traffic import Measure, Seen, Street, _differs
from edge.settings import Camera, Zone
from edge.sighting import Told
from models.vision.crowd import Crowd
from models.vision.detector import Unusable
from models.wire.events import CrowdLevel, CrowdMeasured

START = datetime(2021, 9, 21, 6, tzinfo=UTC)
LINE = Zone(id="gate", kind="count-line", polygon=((0.0, 0.5), (1.0, 0.5)))
STREET = Zone(id="road", kind="count", polygon=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))


def drive(*zones: Zone, vehicles: int, seconds: float = 12.0) -> list[Told]:
    """Each vehicle needs three seconds from the top to the bottom; they come one after the other."""
    camera = Camera(id="cam-3", source="street.mp4", watch="traffic", person_px=(30, 80), zones=zones)
    watch = build(camera, key=b"boot")
    rng = np.random.default_rng(7)
    told: list[Told] = []
    for i in range(round(seconds * 10)):
        y: np.ndarray[Any, np.dtype[np.uint8]] = rng.normal(150, 3, (360, 480)).clip(0, 255).astype(np.uint8)
        vehicle, step = divmod(i - 15, 30)
        if 0 <= vehicle < vehicles:
            top = step * 10
            y[top : top + 60, 200:260] = rng.integers(20, 60, (60, 60))
        seen = watch.see(
            Frame(
                camera="cam-3",
                y=y,
                stream_s=i / 10,
                arrived_s=i / 10,
                seen_at=START + timedelta(seconds=i / 10),
                corrupt=False,
                bgr=lambda y=y: cv2.cvtColor(y, cv2.COLOR_GRAY2BGR),  # type: ignore[misc]
            )
        )
        assert all(isinstance(one, Told) for one in seen)
        told += [one for one in seen if isinstance(one, Told)]
    return told


def measured(told: list[Told], zone: str) -> list[CrowdMeasured]:
    every = [msgspec.json.decode(one.raw, type=CrowdMeasured) for one in told if one.event == "crowd.measured.v1"]
    return [one for one in every if one.zone == zone]


def levels(told: list[Told]) -> list[CrowdLevel]:
    return [msgspec.json.decode(one.raw, type=CrowdLevel) for one in told if one.event == "crowd.level.v1"]


def test_without_a_detector_the_level_is_paused_and_said_once() -> None:
    said = levels(drive(STREET, vehicles=2))
    assert [(one.zone, one.level) for one in said] == [("road", "paused")]


def test_vehicles_over_the_line_are_a_flow_in_their_direction() -> None:
    last = measured(drive(LINE, vehicles=3), "gate")[-1]
    assert not isinstance(last.flow, msgspec.UnsetType)
    assert last.flow.in_ == 0.0
    assert 12.0 <= last.flow.out <= 18.5  # three in eleven seconds
    assert last.basis == "motion"


def test_a_street_where_nothing_changes_is_measured_once_a_minute() -> None:
    assert len(measured(drive(STREET, vehicles=0, seconds=65.0), "road")) == 2


def test_a_camera_without_zones_counts_its_whole_picture() -> None:
    assert {one.zone for one in levels(drive(vehicles=0, seconds=2.0))} == {"street"}


def test_measures_are_a_second_apart() -> None:
    times = [one.stream_s for one in drive(STREET, vehicles=3) if one.event == "crowd.measured.v1"]
    assert all(later - earlier >= 0.99 for earlier, later in pairwise(times))


SCRIPT = ((0, 2), (400, 14), (900, 30), (1500, 55), (2200, 26), (2700, 14), (3200, 2), (3700, 28), (4300, 2))
"""From which second so many bodies are on the street; each step is another level of 5, 10, 20, 40."""
BLIND = ((1100, 1160), (3400, 3500))
"""Something hangs before the lens: the detector would see nothing, or a crowd that is not there."""


def day(seed: int, zone: Zone) -> list[tuple[float, CrowdLevel]]:
    """A street as a detector sees it once a second: one in six missed, some invented, some looks quite wrong."""
    rng = np.random.default_rng(seed)
    street = Street(zone, height=1000, width=1000)
    said: list[tuple[float, CrowdLevel]] = []
    for second in range(4700):
        truth = next(bodies for since, bodies in reversed(SCRIPT) if second >= since)
        seen = rng.binomial(round(truth * 1.2), 1 / 1.2) + rng.poisson(0.3)
        if rng.random() < 0.02:
            seen = rng.choice([0, seen * 2])
        x, y = rng.uniform(100, 900, (2, seen))
        frame = Frame(
            camera="cam-3",
            y=np.zeros((1000, 1000), np.uint8),
            stream_s=float(second),
            arrived_s=float(second),
            seen_at=START + timedelta(seconds=second),
            corrupt=False,
            bgr=lambda: np.zeros((1000, 1000, 3), np.uint8),
        )
        if any(since <= second < until for since, until in BLIND):
            street.forget()
            level = street.pause("covered", frame)
        else:
            boxes = np.column_stack([x - 5, y - 30, x + 5, y])
            level = street.level(
                street.see(Seen(boxes=boxes, bodies=["person"] * seen, paused=None), frame), None, frame
            )
        if level is not None:
            said.append((float(second), level))
    return said


@pytest.mark.parametrize("seed", range(2))
def test_a_noisy_day_gives_one_change_for_each_true_one_and_a_warning_within_ten_seconds(seed: int) -> None:
    said = day(seed, STREET)
    steps: list[tuple[float, int | str]] = [
        (float(second), sum(bodies >= least for least in STREET.levels)) for second, bodies in SCRIPT
    ]
    steps += [(float(since), "paused") for since, _ in BLIND]
    steps += [(float(BLIND[0][1]), 3), (float(BLIND[1][1]), 0)]  # what there was before is there again
    steps.sort()
    assert [level.level for _, level in said] == [level for _, level in steps]
    rises = [i for i in range(1, len(steps)) if steps[i - 1][1] != "paused" and str(steps[i][1]) > str(steps[i - 1][1])]
    assert len(rises) == 6  # four levels up, two pauses
    assert all(0 <= said[i][0] - steps[i][0] <= 10 for i in rises)


def test_what_is_told_of_a_street_without_news_is_one_measure_a_minute() -> None:
    rng = np.random.default_rng(3)
    last = Measure(crowd=Crowd(counts={"person": 40}, low=30, high=50))
    told = sum(
        _differs(last, Measure(crowd=Crowd(counts={"person": 40 + int(more)}, low=30, high=50)), 0.15)
        for more in rng.integers(-5, 6, 600)
    )
    assert told == 0
    assert _differs(last, Measure(crowd=Crowd(counts={"person": 48}, low=36, high=60)), 0.15)


def test_limits_that_cannot_be_read_stop_the_watch_with_the_place() -> None:
    camera = Camera(id="cam-3", source="street.mp4", watch="traffic", limits="nowhere.json")
    with pytest.raises(Unusable, match="nowhere"):
        build(camera, key=b"boot")


def test_a_ground_that_cannot_be_stops_the_watch_with_the_zone() -> None:
    line = ((0.1, 0.5, 0.0, 0.0), (0.4, 0.5, 1.0, 0.0), (0.6, 0.5, 1.0, 1.0), (0.9, 0.5, 0.0, 1.0))
    zone = Zone(id="road", kind="count", polygon=STREET.polygon, ground=line)
    camera = Camera(id="cam-3", source="street.mp4", watch="traffic", zones=(zone,))
    with pytest.raises(Unusable, match="road"):
        build(camera, key=b"boot")


@pytest.mark.data
def test_a_covered_camera_is_paused_and_never_empty(shared_data: Path) -> None:
    """A real street; then a hand lies on the lens."""
    picture = cv2.imread(str(shared_data / "crowd" / "images" / "IMG_4.jpg"))
    assert picture is not None
    limits = str(Path(__file__).resolve().parents[4] / "configs" / "limits" / "directive-15.json")
    model = str(shared_data / "models" / "yolox_nano.onnx")
    camera = Camera(id="cam-3", source="none", watch="traffic", detector=model, limits=limits, zones=(STREET,))
    watch = build(camera, key=b"boot")
    rng = np.random.default_rng(1)
    told: list[Told] = []
    for second in range(18):
        hand = second >= 11
        shown = np.full_like(picture, 90) if hand else picture
        noisy = (shown.astype(np.int16) + rng.integers(-2, 3, picture.shape)).clip(0, 255).astype(np.uint8)
        seen = watch.see(
            Frame(
                camera="cam-3",
                y=cv2.cvtColor(noisy, cv2.COLOR_BGR2GRAY).astype(np.uint8),
                stream_s=float(second),
                arrived_s=float(second),
                seen_at=START + timedelta(seconds=second),
                corrupt=False,
                bgr=lambda noisy=noisy: noisy,  # type: ignore[misc]
            )
        )
        told += [one for one in seen if isinstance(one, Told)]
    said = [(one.level, one.reason) for one in levels(told)]
    assert said[0][0] in {2, 3}
    assert said[1:] == [("paused", "covered")]
    assert all(one.counts.person > 10 for one in measured(told, "road"))
