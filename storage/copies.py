"""A consistent copy of a SQLite database that is in use."""

import sqlite3
from contextlib import closing
from pathlib import Path

from storage.errors import StorageError
from storage.readable import ONLY_READ, Place, readable, require_whole


def copy_database(source: Path, target: Path) -> None:
    """Copy the database with SQLite's online backup; raises StorageError."""
    require_whole(source)
    place = readable(source)
    try:
        with closing(place.connect()) as reader, closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"the database {source} cannot be copied: {failure}") from failure
    finally:
        place.close()


def check_database(path: Path) -> None:
    """Raise StorageError unless the file is a whole SQLite database."""
    try:
        with closing(Place(path, ONLY_READ).connect()) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"{path} is not a database: {failure}") from failure
    if verdict != "ok":
        raise StorageError(f"{path} is damaged: {verdict}")
