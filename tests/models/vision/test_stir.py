import numpy as np
import pytest

from models.vision.stir import Stir

_chance = np.random.default_rng(1)


def picture(walker_x: int | None = None, *, light: float = 100.0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A noisy yard, with a person of 60 lines in it."""
    yard = _chance.normal(light, 3, (720, 1280))
    if walker_x is not None:
        yard[400:460, walker_x : walker_x + 24] = 160
    return np.clip(yard, 0, 255).astype(np.uint8)


def test_a_yard_where_only_the_noise_moves_is_still() -> None:
    stir = Stir()
    assert [bool(stir.see(picture())) for _ in range(10)] == [True] + [False] * 9


@pytest.mark.parametrize("far", [200, 900])
def test_a_person_who_walks_in_stirs(far: int) -> None:
    stir = Stir()
    for _ in range(5):
        stir.see(picture())
    (left, top, width, height) = stir.see(picture(far))[0]
    assert left <= far <= left + width
    assert top <= 430 <= top + height


def test_who_creeps_stirs_as_well() -> None:
    stir = Stir(step_px=6, difference=8)
    stir.see(picture(200))
    assert any(stir.see(picture(200 + x)) for x in range(1, 24))


def test_a_lamp_stirs_once() -> None:
    stir = Stir()
    stir.see(picture())
    assert [bool(stir.see(picture(light=180))) for _ in range(3)] == [True, False, False]


def test_a_new_size_begins_anew() -> None:
    stir = Stir()
    stir.see(picture())
    assert stir.see(picture()[::2, ::2])
    assert not stir.see(picture()[::2, ::2])
