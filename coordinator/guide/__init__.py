"""What is there, what waits, what is next."""
