"""Who left a zone."""
