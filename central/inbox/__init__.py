"""The way in: messages of the edges into rows, each exactly once."""
