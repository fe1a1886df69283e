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
    assert [stir.see(picture()) for _ in range(10)] == [True] + [False] * 9


@pytest.mark.parametrize("far", [200, 900])
def test_a_person_who_walks_in_stirs(far: int) -> None:
    stir = Stir()
    for _ in range(5):
        stir.see(picture())
    assert stir.see(picture(far))


def test_a_new_size_begins_anew() -> None:
    stir = Stir()
    stir.see(picture())
    assert stir.see(picture()[::2, ::2])
    assert not stir.see(picture()[::2, ::2])
