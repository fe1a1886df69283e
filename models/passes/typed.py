"""What an officer enters for somebody without a code that can be read: a number, or that there are papers."""

from msgspec.structs import replace

from models.passes.number import contradictions, kind
from models.passes.scan import Pass

PAPER = Pass(kind="paper", reasons=("paper",), facts={"reasons": "paper"})
"""Nothing that a machine reads: an officer looks, and says with a reason what came of it."""


def read(number: str, birth_year: int | None = None) -> Pass | None:
    """A claim, as an unsigned code is one; None when this is the number of no paper."""
    tidy = "".join(number.split()).upper()
    which = kind(tidy)
    if which is None:
        return None
    reasons = tuple(contradictions(tidy, birth_year, None)) if which == "cccd" else ()
    code = Pass(kind="typed", ids=((which, tidy),), birth_year=birth_year, reasons=reasons)
    return replace(code, facts={"reasons": " ".join(reasons)}) if reasons else code
