"""The city's side: takes events in, matches them with what is known, answers, and shows."""
