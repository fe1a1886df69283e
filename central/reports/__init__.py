"""What streets were like: a day's curve of one, and a morning report of each district."""
