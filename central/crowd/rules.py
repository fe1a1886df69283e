"""When a street is warned of, and what may be answered. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

CROWDED = 3
"""The level from which a district is warned."""


class State(StrEnum):
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    TOLD = "told"
    """VOV Giao thông has it."""
    DISMISSED = "dismissed"


MOVES: Mapping[State, frozenset[State]] = {
    State.SENT: frozenset({State.ACKNOWLEDGED, State.TOLD, State.DISMISSED}),
    State.ACKNOWLEDGED: frozenset({State.TOLD, State.DISMISSED}),
    State.TOLD: frozenset({State.DISMISSED}),
    State.DISMISSED: frozenset(),
}


def sources(state: State) -> tuple[State, ...]:
    """The states from which one may come to this."""
    return tuple(before for before, after in MOVES.items() if state in after)


def level_of(told: Iterable[int | None]) -> int | None:
    """A street's level from those of its zones: the worst that is seen; below a warning only when all of it is seen."""
    levels = list(told)
    seen = [level for level in levels if level is not None]
    worst = max(seen, default=None)
    return worst if worst is not None and (worst >= CROWDED or len(seen) == len(levels)) else None
