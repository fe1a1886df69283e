from pathlib import Path

import numpy as np
import pytest

from scripts.school.crops import SIDE, Lessons
from scripts.school.scenes import Forbidden, Scene, check


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["tracking/pets09_s2l1_001_400.mp4", "video/plaza_crowd.avi", "crowd/images/IMG_1.jpg"]
)
def test_a_test_set_is_refused_under_any_name(shared_data: Path, tmp_path: Path, name: str) -> None:
    disguised = tmp_path / "holiday.jpg"
    disguised.write_bytes((shared_data / name).read_bytes())
    with pytest.raises(Forbidden, match="for testing only"):
        check(disguised)


def test_a_lesson_is_the_same_on_every_run_and_its_people_lie_in_it() -> None:
    rng = np.random.default_rng(1)
    nobody = np.zeros((0, 4))
    window = Scene(rng.integers(0, 255, (128, 64, 3), np.uint8), np.array([[14.0, 16, 50, 112]]), nobody)
    street = Scene(rng.integers(0, 255, (300, 400, 3), np.uint8), np.array([[100.0, 80, 140, 180]]), nobody)
    empty = Scene(rng.integers(0, 255, (300, 400, 3), np.uint8), nobody, nobody)
    lessons = Lessons([street, empty], [window], [window.picture], seed=7)
    for number in range(12):
        crop, again = lessons.lesson(number), lessons.lesson(number)
        assert np.array_equal(crop.picture, again.picture)
        assert np.array_equal(crop.people, again.people)
        assert crop.picture.shape == (SIDE, SIDE, 3)
        assert len(crop.people) == 0 or (crop.people.min() >= 0 and crop.people.max() <= SIDE)
