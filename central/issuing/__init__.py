"""The city's own passes: issued at a desk, signed, taken back."""
