"""What is entered by hand of a resident: declarations, doses, results, permits, episodes, orders, flags, zones."""
