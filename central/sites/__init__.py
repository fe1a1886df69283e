"""Boxes and cameras: who is there and what can be seen."""
