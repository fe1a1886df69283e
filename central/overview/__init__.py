"""The whole city on one page: what waits for somebody, and what nobody sees."""
