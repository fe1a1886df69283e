"""Scans and what was decided on them."""
