"""A home's file as somebody changes it who is not held by its triggers."""

import sqlite3
from pathlib import Path

TRIGGERS = "SELECT name FROM sqlite_master WHERE type = 'trigger'"


def unguarded(file: Path) -> sqlite3.Connection:
    """Return a connection to a database whose triggers are gone."""
    database = sqlite3.connect(file)
    for (name,) in database.execute(TRIGGERS).fetchall():
        database.execute(f"DROP TRIGGER {name}")
    database.commit()
    return database
