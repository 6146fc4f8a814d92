"""Whether the rows of a SQLite database are such as this program writes: types, times, references.

SQLite itself keeps whatever it is given. Looking at every row takes time, so this is asked only
after something went wrong that should not have.
"""

from sqlalchemy import Column, Table, text
from sqlalchemy.orm import Session

from storage.errors import StorageError
from storage.model import whole_schema
from storage.types import UtcTime

SQLITE_TYPES: dict[type, str] = {bytes: "blob", int: "integer", bool: "integer"}


def check_rows(db: Session) -> None:
    """Raise StorageError naming the first column that holds what it cannot."""
    if db.get_bind().dialect.name != "sqlite":
        return
    for table in whole_schema().sorted_tables:
        for column in table.columns:
            if db.scalar(text(_wrong_row(table, column))) is not None:
                raise StorageError(f"the database is damaged: see {table.name}.{column.name}")
    for table, _, parent, _ in db.execute(text("PRAGMA foreign_key_check")):
        raise StorageError(f"the database is damaged: a {table} refers to a {parent} not there")


def _wrong_row(table: Table, column: Column[object]) -> str:
    """Return the statement that finds one row whose column has another type, or is no time."""
    name, kind = f'"{column.name}"', SQLITE_TYPES.get(column.type.python_type, "text")
    wrong = f"typeof({name}) <> '{kind}'"
    if isinstance(column.type, UtcTime):
        wrong += f" OR julianday({name}) IS NULL"
    return f'SELECT 1 FROM "{table.name}" WHERE {name} IS NOT NULL AND ({wrong}) LIMIT 1'  # noqa: S608 -- our own names
