"""A consistent copy of a SQLite database that is in use."""

import sqlite3
from pathlib import Path

from storage.errors import StorageError


def copy_database(source: Path, target: Path) -> None:
    """Copy the database with SQLite's online backup; raises StorageError."""
    try:
        with (
            sqlite3.connect(_read_only(source), uri=True) as reader,
            sqlite3.connect(target) as writer,
        ):
            reader.backup(writer)
        reader.close()
        writer.close()
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"the database {source} cannot be copied: {failure}") from failure


def check_database(path: Path) -> None:
    """Raise StorageError unless the file is a whole SQLite database."""
    try:
        connection = sqlite3.connect(_read_only(path), uri=True)
        try:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"{path} is not a database: {failure}") from failure
    if verdict != "ok":
        raise StorageError(f"{path} is damaged: {verdict}")


def _read_only(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"
