"""How our own weights are taught: pictures with people in them, crops of one scale, a small net. Needs torch."""
