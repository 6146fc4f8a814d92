"""A card becomes known: set up, enrolled, checked, looked after."""
