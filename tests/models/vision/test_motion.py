"""Grey bodies walk over a noisy floor."""

import numpy as np

from models.vision.motion import Boxes, Motion, Pixels, Size

SIZE = Size(far_px=60, near_px=110)
_noise = np.random.default_rng(1)


def floor(*bodies: tuple[int, int, int, int]) -> Pixels:
    picture = _noise.normal(120, 3, (360, 480))
    for x, y, w, h in bodies:
        picture[y : y + h, x : x + w] = 30
    return picture.clip(0, 255).astype(np.uint8)


def walk(motion: Motion, *start: tuple[int, int, int, int], steps: int = 12) -> Boxes:
    """Six seconds of empty floor, then the bodies move 4 pixels a picture; the last picture's boxes."""
    boxes: Boxes = np.zeros((0, 4))
    for i in range(60):
        motion.see(floor(), i * 0.1)
    for i in range(steps):
        boxes = motion.see(floor(*((x + 4 * i, y, w, h) for x, y, w, h in start)), 6.0 + i * 0.1).boxes
    return boxes


def test_an_empty_floor_has_no_bodies() -> None:
    motion = Motion(SIZE)
    assert all(len(motion.see(floor(), i * 0.1).boxes) == 0 for i in range(30))


def test_a_walking_body_is_one_box_around_it() -> None:
    (box,) = walk(Motion(SIZE), (100, 100, 30, 80))
    assert np.abs(box - (144, 100, 174, 180)).max() <= 6


def test_two_bodies_apart_are_two_boxes() -> None:
    assert len(walk(Motion(SIZE), (50, 100, 30, 80), (300, 150, 30, 90))) == 2


def test_what_is_much_smaller_than_a_body_is_no_body() -> None:
    assert len(walk(Motion(SIZE), (100, 100, 12, 14))) == 0


def test_a_body_cut_by_its_belt_is_one_box() -> None:
    assert len(walk(Motion(SIZE), (100, 100, 30, 36), (100, 144, 30, 36))) == 1


def test_a_group_side_by_side_is_several_bodies_but_a_car_is_one() -> None:
    assert len(walk(Motion(SIZE), (100, 100, 150, 80))) == 4
    assert len(walk(Motion(SIZE, split=False), (100, 100, 150, 80))) == 1


def test_a_lamp_switched_on_is_nobody() -> None:
    motion = Motion(SIZE)
    walk(motion)
    bright = (floor().astype(np.int16) + 70).clip(0, 255).astype(np.uint8)
    assert all(len(motion.see(bright, 8.0 + i * 0.1).boxes) == 0 for i in range(10))


def test_the_ground_lit_otherwise_is_nobody() -> None:
    """A spot of light on a patterned floor: its pattern is still there."""
    motion, pattern = (
        Motion(SIZE),
        np.random.default_rng(3).integers(60, 180, (36, 48), np.uint8).repeat(10, 0).repeat(10, 1),
    )
    for i in range(60):
        motion.see(pattern, i * 0.1)
    lit = pattern.copy()
    lit[100:190, 200:240] = lit[100:190, 200:240] + 60
    assert all(len(motion.see(lit, 6.0 + i * 0.1).boxes) == 0 for i in range(5))


def test_who_stands_still_is_seen_for_as_long_as_he_is_kept() -> None:
    motion, here = Motion(SIZE), np.zeros((0, 4))
    for i in range(60):
        motion.see(floor(), i * 0.1)
    for i in range(600):
        boxes = motion.see(floor((100, 100, 30, 80)), 6.0 + i * 0.1, kept=here).boxes
        here = boxes if len(boxes) else here
    assert len(boxes) == 1
