"""Dark vehicles drive down a bright street."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import cv2
import msgspec
import numpy as np

from edge.eyes.frame import Frame
from edge.eyes.watches import build
from edge.settings import Camera, Zone
from edge.sighting import Told
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
