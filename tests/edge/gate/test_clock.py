from datetime import UTC, datetime

import pytest

from edge.gate.clock import claim


@pytest.mark.parametrize(
    ("year", "synchronised", "claimed"),
    [(1970, True, "unset"), (2026, True, "synced"), (2026, False, "holdover")],
)
def test_a_time_is_claimed_no_better_than_it_is(year: int, synchronised: bool, claimed: str) -> None:
    assert claim(datetime(year, 6, 1, tzinfo=UTC), synchronised=synchronised) == claimed


def test_the_kernel_can_be_asked() -> None:
    assert claim(datetime.now(UTC)) in {"synced", "holdover"}
