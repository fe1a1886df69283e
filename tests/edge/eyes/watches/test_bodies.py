import numpy as np

from edge.eyes.watches.bodies import Standing, _covered
from models.vision.tracker import Track


def at(x: float, id_: int = 1) -> Track:
    return Track(id=id_, box=(x - 15, 100, x + 15, 180), seen=True, last_s=0.0)


def test_who_stands_is_kept_from_the_background_and_who_walks_is_not() -> None:
    standing = Standing()
    for second in range(6):
        boxes = standing.see([at(100 + second % 2), at(300 + 60 * second, 2)], float(second))
    assert boxes.tolist() == [list(at(101).box)]


def test_what_has_stood_longer_than_anybody_stands_is_a_thing() -> None:
    standing = Standing()
    for second in range(0, 700, 5):
        boxes = standing.see([at(100)], float(second))
    assert len(boxes) == 0


def test_a_moving_rag_of_somebody_found_is_no_second_body() -> None:
    found = np.array([[100.0, 100, 130, 180]])
    moving = np.array([[102.0, 150, 128, 182], [300, 100, 330, 180]])
    assert _covered(moving, found).tolist() == [True, False]
    assert _covered(moving, np.zeros((0, 4))).tolist() == [False, False]
