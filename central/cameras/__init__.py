"""The cameras and zones of each box: shown, tried, changed and drawn from central, kept and checked by the box."""
