"""Many rows into a table at once: COPY where a server takes them, else one INSERT of many."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, insert

FEW: Final = 100
"""Up to so many rows COPY costs more than it saves: two waits for the server."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that name the same columns; nobody is told their numbers."""
    if not rows:
        return
    if connection.dialect.name == "sqlite" or len(rows) <= FEW:
        connection.execute(insert(table).inline(), rows)
        return
    from storage.postgresql import copy_into  # noqa: PLC0415 -- an extra's

    columns = [table.c[name] for name in rows[0]]
    quote = connection.dialect.identifier_preparer.quote
    named = ", ".join(quote(column.name) for column in columns)
    convert = [
        column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        for column in columns
    ]
    rows_out = (
        [
            made(value) if made else value
            for made, value in zip(convert, (row[each.name] for each in columns), strict=True)
        ]
        for row in rows
    )
    copy_into(connection, f"COPY {quote(table.name)} ({named}) FROM STDIN", rows_out)
