"""Many cards sign at once: each identified, asked for its PIN, every answer verified."""
