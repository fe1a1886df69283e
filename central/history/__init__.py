"""Streets by the minute and by the hour: what a curve and a morning report are drawn from."""
