"""How full the streets are."""
