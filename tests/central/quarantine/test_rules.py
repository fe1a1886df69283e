from datetime import timedelta

import pytest

from central.quarantine.rules import WALK_WITHIN, Proof, Walk, guard
from tests.central.city import NOW

PROVEN = {"yard": Proof(at=NOW, evidence="")}


def walk(*, proven: bool) -> Walk:
    proofs = PROVEN if proven else {}
    return Walk(site="qs-003", edge="edge-01", camera="cam-2", by="lan", started_at=NOW, proofs=proofs)


@pytest.mark.parametrize(
    ("mode", "walked", "after", "said"),
    [
        ("armed", None, timedelta(0), "unproven"),
        ("armed", walk(proven=False), timedelta(0), "unproven"),
        ("armed", walk(proven=True), timedelta(days=99), "armed"),
        ("trial", None, timedelta(0), "trial"),
        ("trial", walk(proven=False), timedelta(minutes=1), "walking"),
        ("trial", walk(proven=False), WALK_WITHIN, "trial"),
        ("trial", walk(proven=True), timedelta(0), "proven"),
        ("maintenance", walk(proven=True), timedelta(0), "maintenance"),
    ],
)
def test_what_is_armed_on_trust_alone_is_said_to_be(
    mode: str, walked: Walk | None, after: timedelta, said: str
) -> None:
    assert guard(mode, walked, NOW + after) == said
