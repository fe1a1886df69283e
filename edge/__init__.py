"""One box, N cameras."""

VERSION = "0.1.0"
