"""What gates carry, so that they can decide when nobody can be asked."""
