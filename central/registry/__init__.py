"""Who lives here and what is known of them."""
