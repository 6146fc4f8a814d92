"""Whether a database is sound: whole, of our tables, indexes and triggers alone, with our rows.

A trigger runs with whatever writes its table, a view stands for a table: one that is not ours
could change what is stored while this program stores it. SQLite itself keeps whatever it is given;
looking at every row takes time, so that is asked only after something went wrong that should not.
"""

import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Table, create_engine, exists, select, text
from sqlalchemy.orm import Session

from storage.database import known_version
from storage.errors import RowDamaged, StorageError
from storage.model import whole_schema
from storage.model.record import UtcTime
from storage.read_only import ONLY_READ, Place

OBJECTS_MAX: Final = 1000
OBJECTS = (
    "SELECT type, name, sql FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_' "
    "ORDER BY type, name LIMIT ?"
)
BLANKS = re.compile(r"\s+")
TABLE = "CREATE TABLE"

Object = tuple[str, str]
SQLITE_TYPES: dict[type, str] = {bytes: "blob", int: "integer", bool: "integer"}


def check_rows(db: Session) -> None:
    """Raise RowDamaged naming the first column that holds what it cannot."""
    if db.get_bind().dialect.name != "sqlite":
        return
    for table in whole_schema().sorted_tables:
        for column in table.columns:
            if db.scalar(text(_wrong_row(table, column))) is not None:
                raise RowDamaged(f"the database is damaged: see {table.name}.{column.name}")
    for table, _, parent, _ in db.execute(text("PRAGMA foreign_key_check")):
        raise RowDamaged(f"the database is damaged: a {table} refers to a {parent} not there")


def dangling(db: Session) -> list[str]:
    """Return a sentence on each row that refers to another one which is not there."""
    found = []
    for table in whole_schema().sorted_tables:
        for key in table.foreign_keys:
            own, there = table.c[key.parent.name], key.column.table.alias("there")
            refers = exists().where(there.c[key.column.name] == own)
            number = next(iter(table.primary_key.columns))
            lost = select(number, own).where(own.is_not(None), ~refers).order_by(number)
            found += [
                f"{table.name} {row} refers to {key.column.table.name} {to}, which is not there"
                for row, to in db.execute(lost)
            ]
    return found


def _wrong_row(table: Table, column: Column[object]) -> str:
    """Return the statement that finds one row whose column has another type, or is no time."""
    name, kind = f'"{column.name}"', SQLITE_TYPES.get(column.type.python_type, "text")
    wrong = f"typeof({name}) <> '{kind}'"
    if isinstance(column.type, UtcTime):
        wrong += f" OR julianday({name}) IS NULL"
    return f'SELECT 1 FROM "{table.name}" WHERE {name} IS NOT NULL AND ({wrong}) LIMIT 1'  # noqa: S608 -- our own names


def require_own_schema(file: Path) -> None:
    """Raise StorageError that names what is not ours in a SQLite file, or is missing there."""
    try:
        with closing(Place(file, ONLY_READ).connect()) as connection:
            connection.execute("PRAGMA trusted_schema=OFF").close()
            version = _version(connection, file.name)
            found, columns = _objects(connection), _columns(connection)
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"{file.name} cannot be read: {failure}") from failure
    own, own_columns = _own(version)
    for kind, name in sorted(found.keys() ^ own.keys()):
        here = (kind, name) in found
        told = "holds a {} {!r} that is not of this program" if here else "lacks the {} {!r}"
        raise StorageError(f"{file.name} {told.format(kind, name)}")
    changed = [each for each, sql in found.items() if sql != own[each]]
    changed += [("table", name) for name in own_columns if own_columns[name] != columns[name]]
    if changed:
        kind, name = min(changed)
        raise StorageError(f"{file.name} has a {kind} {name!r} that is not this program's")


def _version(connection: sqlite3.Connection, name: str) -> str:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as failure:
        raise StorageError(f"the database {name} belongs to another program") from failure
    return known_version(row[0] if row else None, name)


def _objects(connection: sqlite3.Connection) -> dict[Object, str]:
    """Return what there is; a table only as such, for migrations write it in different words."""
    found = {}
    for kind, name, sql in connection.execute(OBJECTS, (OBJECTS_MAX,)):
        words = BLANKS.sub(" ", str(sql)).strip()
        plain = kind == "table" and words.upper().startswith(TABLE)
        found[str(kind), str(name)] = TABLE if plain else words
    return found


def _columns(connection: sqlite3.Connection) -> dict[str, set[tuple[str, str, int]]]:
    """Return the name, type and kind of each column of each table."""
    rows = connection.execute(
        "SELECT t.name, c.name, upper(c.type), c.hidden FROM sqlite_master t, "
        "pragma_table_xinfo(t.name) c WHERE t.type = 'table'"
    )
    found: dict[str, set[tuple[str, str, int]]] = {}
    for table, name, kind, hidden in rows:
        found.setdefault(table, set()).add((name, kind, hidden))
    return found


@cache
def _own(version: str) -> tuple[dict[Object, str], dict[str, set[tuple[str, str, int]]]]:
    """Return what a database of this version has, by making one in memory."""
    from storage.migrations import upgrade  # noqa: PLC0415 -- importing Alembic takes 150 ms

    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            upgrade(connection, version)
            made = connection.connection.driver_connection
            if not isinstance(made, sqlite3.Connection):
                raise StorageError("SQLite is not at hand")
            return _objects(made), _columns(made)
    finally:
        engine.dispose()


def check_database(path: Path) -> None:
    """Raise StorageError unless the file is a whole SQLite database."""
    try:
        with closing(Place(path, ONLY_READ).connect()) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except (sqlite3.Error, UnicodeDecodeError) as failure:
        raise StorageError(f"{path} is not a database: {failure}") from failure
    if verdict != "ok":
        raise StorageError(f"{path} is damaged: {verdict}")
