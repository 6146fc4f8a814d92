"""A vault: made, carried in and out, its keys proved, its addresses."""
