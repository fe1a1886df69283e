"""The officer's page, served by the box itself: it lives when the line to central does not."""

from edge.gate.screen.page import Entry, Override, Screen
from edge.gate.screen.pairing import Pairing
from edge.gate.screen.showing import Showing

__all__ = ["Entry", "Override", "Pairing", "Screen", "Showing"]
