"""How many do you see? An operator's counts make up for what one camera's view makes of everybody."""
