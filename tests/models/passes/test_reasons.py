import tomllib
from pathlib import Path

import pytest

from models.passes.outcome import Outcome
from models.passes.reasons import REASONS

CATALOGUE = tomllib.loads((Path(__file__).resolve().parents[3] / "models/view/catalogue.toml").read_text("utf-8"))


def test_every_reason_has_its_own_number() -> None:
    assert len({reason.code for reason in REASONS.values()}) == len(REASONS)


def test_only_what_the_registry_says_of_a_person_can_stop_them() -> None:
    assert {name for name, reason in REASONS.items() if reason.outcome is Outcome.FAIL} == {
        "f0",
        "f1",
        "order_elsewhere",
        "order_broken",
    }


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_every_reason_has_a_text(lang: str) -> None:
    assert REASONS.keys() - CATALOGUE[lang]["reason"].keys() == set()


def test_what_is_said_of_health_is_marked_as_medical() -> None:
    medical = {name for name, reason in REASONS.items() if reason.medical}
    assert medical == {
        "f0",
        "f1",
        "order_elsewhere",
        "order_broken",
        "symptoms",
        "no_immunity",
        "no_test",
        "tested_positive",
    }
