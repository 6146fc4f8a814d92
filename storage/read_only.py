"""A SQLite file that can only be read: where it lies, or in a private copy where that cannot be.

SQLite wants to write beside the file even to read it (the index of its write-ahead log). Where
nothing is in that log, the file is whole without it; where there is, a copy of both is read.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from storage.errors import StorageError

MAGIC: Final = b"SQLite format 3\0"
HEADER_SIZE: Final = 100
LARGEST_PAGE: Final = 65_536
ONLY_READ: Final = "?mode=ro"
NOBODY_WRITES: Final = "?mode=ro&immutable=1"
LOST: Final = "it was there when this home was made; a backup brings it back"


class Place(NamedTuple):
    """Where a database is read: its file, as what SQLite opens it, and the folder of a copy."""

    file: Path
    options: str = ""
    folder: TemporaryDirectory[str] | None = None

    def connect(self) -> sqlite3.Connection:
        """Open the database for reading."""
        uri = self.file.absolute().as_uri() + self.options
        return sqlite3.connect(uri, uri=True, check_same_thread=False)

    def close(self) -> None:
        """Remove the copy, if there is one."""
        if self.folder is not None:
            self.folder.cleanup()


def is_writable(file: Path) -> bool:
    """Tell whether SQLite can write a file and beside it."""
    return os.access(file, os.W_OK) and os.access(file.absolute().parent, os.W_OK)


def require_whole(file: Path) -> None:
    """Raise StorageError where a database that was here is missing, empty or cut short."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            header = opened.read(HEADER_SIZE)
    except FileNotFoundError as failure:
        raise StorageError(f"the database {file} is missing: {LOST}") from failure
    except OSError as failure:
        raise StorageError(f"the database {file} cannot be read: {failure.strerror}") from failure
    if not size:
        raise StorageError(f"the database {file} is empty: {LOST}")
    if not header.startswith(MAGIC):
        raise StorageError(f"{file} is no SQLite database: {LOST}")
    if not _wal_size(file) and _said_size(header) > size:
        raise StorageError(f"the database {file} is cut short at {size} bytes: {LOST}")


def readable(file: Path) -> Place:
    """Return where to read a file that this account cannot write; raises StorageError."""
    ways = (ONLY_READ,) if _wal_size(file) else (ONLY_READ, NOBODY_WRITES)
    for place in (Place(file, way) for way in ways):
        if _opens(place):
            return place
    return copied(file)


def copied(file: Path) -> Place:
    """Return a private copy of a database and its log, to be read or brought to date."""
    try:
        folder = TemporaryDirectory(prefix="cardquorum-")
        copy = Path(folder.name) / file.name
        shutil.copyfile(file, copy)
        if _wal_size(file):
            shutil.copyfile(_wal(file), _wal(copy))
    except OSError as failure:
        raise StorageError(
            f"the database {file} can neither be written nor copied to be read: {failure.strerror}"
        ) from failure
    return Place(copy, folder=folder)


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


def _opens(place: Place) -> bool:
    """Tell whether SQLite reads a database there; raises StorageError where it is none."""
    try:
        with closing(place.connect()) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        return False
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"the database cannot be read: {failure}") from failure
    return True


def _wal(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


def _wal_size(file: Path) -> int:
    try:
        return _wal(file).stat().st_size
    except OSError:
        return 0


def _said_size(header: bytes) -> int:
    """Return how many bytes a database says it has; 0 where it does not say so."""
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    known = header[24:28] == header[92:96]
    return (LARGEST_PAGE if page == 1 else page) * pages if known else 0
