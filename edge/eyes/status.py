"""What a camera is doing and why: a few states, a few reasons, and no word of FFmpeg's, which quotes passwords."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import av.error

State = Literal["connecting", "live", "stalled", "refused", "unauthorised", "not_found", "blind", "down", "disabled"]
Reason = Literal[
    "connecting",
    "pictures",
    "no_picture",
    "no_whole_picture",
    "overloaded",
    "no_answer",
    "nobody_listens",
    "password",
    "no_stream",
    "no_file",
    "closed",
    "no_video",
    "unreadable",
    "covered",
    "defocused",
    "turned",
    "frozen",
    "dark",
    "switched_off",
]
"""Keys of the catalogue: `camera.<reason>` has the words for a person."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a camera is doing since when."""

    state: State
    reason: Reason
    since: datetime
    since_s: float
    """On the stream's clock."""


class Broken(Exception):
    """The stream cannot go on; the camera's state says why."""

    def __init__(self, state: State, reason: Reason) -> None:
        super().__init__(reason)
        self.state: State = state
        self.reason: Reason = reason


_FAULTS: tuple[tuple[tuple[type[Exception], ...], State, Reason], ...] = (
    ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError), "unauthorised", "password"),
    ((av.error.HTTPNotFoundError,), "not_found", "no_stream"),
    ((av.error.FileNotFoundError,), "not_found", "no_file"),
    ((av.error.ConnectionRefusedError,), "refused", "nobody_listens"),
    ((av.error.ExitError, av.error.TimeoutError), "stalled", "no_answer"),
    ((av.error.EOFError, av.error.ConnectionResetError, av.error.BrokenPipeError), "down", "closed"),
    ((av.error.InvalidDataError,), "down", "no_video"),
)


def broken(error: Exception) -> Broken:
    """An error in our words."""
    for kinds, state, reason in _FAULTS:
        if isinstance(error, kinds):
            return Broken(state, reason)
    return Broken("down", "unreadable")
