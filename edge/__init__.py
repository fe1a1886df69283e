"""One box beside N cameras: eyes that see, a gate that keeps, decides, speaks and shows."""
