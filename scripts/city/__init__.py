"""A city that can be had anywhere: drawn streets, drawn people, and cameras on loopback."""
