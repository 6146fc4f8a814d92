"""A database copied whole into an empty one, of the same engine or another."""

from typing import NamedTuple

from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from storage import custody
from storage.bulk import insert_rows
from storage.database import reading
from storage.errors import StorageError
from storage.model import whole_schema

ROWS_AT_ONCE = 1_000
FEW = 100
"""Of more rows of a table every thousand go by COPY: a whole home is too much for a message."""


class Copied(NamedTuple):
    """How many rows of each table were copied, and the head of the custody book's chain."""

    rows: dict[str, int]
    head: bytes


def copy_rows(source: sessionmaker[Session], target: sessionmaker[Session]) -> Copied:
    """Copy every row into a database that has none, in one transaction; then compare the two.

    The source may be written meanwhile: what is copied is one moment of it. Raises StorageError
    where the target is not empty or does not hold what was read, ChainBroken where the source's
    book does not hold.
    """
    tables = whole_schema().sorted_tables
    with reading(source).begin() as given, target.begin() as taken:
        head = custody.verify(given)
        reader, writer = given.connection(), taken.connection()
        for table in tables:
            if writer.scalar(select(func.count()).select_from(table)):
                raise StorageError(
                    f"the database that is copied to holds rows of {table.name}: it has to be empty"
                )
        rows = {table.name: _copy_table(reader, writer, table) for table in tables}
        for table in tables:
            held = writer.scalar(select(func.count()).select_from(table))
            if held != rows[table.name]:
                raise StorageError(f"{rows[table.name]} rows of {table.name} came as {held}")
        if custody.verify(taken) != head:
            raise StorageError("the custody book came as another one")
    return Copied(rows, head)


def _copy_table(reader: Connection, writer: Connection, table: Table) -> int:
    key = table.primary_key.columns
    found = reader.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table).order_by(*key))
    count = 0
    for part in found.mappings().partitions():
        rows = [dict(row) for row in part]
        insert_rows(writer, table, rows, most=FEW)
        count += len(rows)
    if writer.dialect.name != "sqlite" and table.autoincrement_column is not None:
        name = table.autoincrement_column.name
        writer.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('\"{table.name}\"', '{name}'), "  # noqa: S608 -- our own names
                f'coalesce(max("{name}"), 0) + 1, false) FROM "{table.name}"'
            )
        )
    return count
