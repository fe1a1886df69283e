"""Symbols under each of the simulator's single conditions: what is measured, and what is advised for it."""

import numpy as np
import pytest

from models.aim import Symptoms, advise
from models.vision.symptoms import symptoms
from scripts.bench.simulator import CONDITIONS, Condition, Held, Stage, mixed

STAGE = Stage(3, None)
HELD: Held = STAGE.held("cccd")


def seen(condition: Condition, side_px: float) -> Symptoms:
    sight = STAGE.show(HELD, (400, 400), side_px, condition)
    assert sight.corners is not None
    a, b, c, d = ((float(x), float(y)) for x, y in sight.corners)
    found = symptoms(sight.picture, (a, b, c, d), sight.px_per_module)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "side_px", "advice"),
    [
        ("clean", 45, "closer"),
        ("defocus 1.0", 45, "closer"),
        ("defocus 2.0", 160, "still"),
        ("motion 5", 160, "still"),
        ("gain .12", 120, "brighter"),
        ("gain .25", 120, "brighter"),
        ("glare .8", 120, "glare"),
        ("glare .8", 250, "glare"),
        ("jpeg 20", 45, "closer"),
        ("moire", 45, "closer"),
    ],
)
def test_each_condition_of_the_simulator_has_its_advice(name: str, side_px: float, advice: str) -> None:
    assert [advise(seen(CONDITIONS[name][0], side_px)) for _ in range(5)] == [advice] * 5


def test_two_troubles_at_once_get_the_advice_for_the_one_that_coming_nearer_cannot_mend() -> None:
    glaring = mixed(Condition(glare=0.8), Condition(defocus_px=1.5))
    assert advise(seen(glaring, 100)) == "glare"
    dark = mixed(Condition(gain=0.12, noise=6.0), Condition(motion_px=3.0))
    assert advise(seen(dark, 120)) == "brighter"


def test_light_is_grey_level_and_size_is_kept() -> None:
    bright, dim = seen(Condition(), 160), seen(Condition(gain=0.25, noise=6.0), 160)
    assert bright.light > 170
    assert dim.light < 72
    assert bright.px_per_module == pytest.approx(160 / HELD.side, rel=0.2)
    assert bright.washed == 0.0


def test_what_stands_out_of_the_picture_is_measured_as_far_as_it_is_seen() -> None:
    y = np.full((100, 100), 200, np.uint8)
    beyond = ((90.0, 90.0), (150.0, 90.0), (150.0, 150.0), (90.0, 150.0))
    assert symptoms(y, beyond, 2.0) is not None
    assert symptoms(y, ((200.0, 200.0), (300.0, 200.0), (300.0, 300.0), (200.0, 300.0)), 2.0) is None
    assert symptoms(y, ((-50.0, 0.0), (-10.0, 0.0), (-10.0, 50.0), (-50.0, 50.0)), 2.0) is None
