"""What screens follow. A topic is one part of a page, with the whole state of that part."""

ALERTS = "alerts"
STREETS = "streets"
HEALTH = "health"
