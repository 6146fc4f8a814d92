"""The custody book: places, people, things, and what happened to each."""
