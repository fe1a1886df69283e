"""The three answers a checkpoint can get."""

from enum import StrEnum


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105  (an answer, not a password)
    """Let through."""
    CHECK = "CHECK"
    """We cannot know: an officer looks. Every fault of ours ends here, never in FAIL."""
    FAIL = "FAIL"
    """Stop: the registry says so."""

    @property
    def severity(self) -> int:
        """PASS 0, CHECK 1, FAIL 2: an answer on the screen may only become more severe."""
        return list(Outcome).index(self)

    @classmethod
    def of(cls, severity: int) -> "Outcome":
        return list(cls)[severity]
