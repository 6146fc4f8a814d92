"""The local page: a window on this computer for people who do not live in a terminal."""
