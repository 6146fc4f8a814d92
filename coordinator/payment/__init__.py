"""A payment from its wish to its block."""
