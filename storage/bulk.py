"""Many rows into a table at once, in as few messages as a server needs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, insert

MANY: Final = 5_000
"""Up to so many rows go along with the next message; more are worth COPY's two waits."""


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, most: int = MANY
) -> None:
    """Insert rows that name the same columns; nobody is told their numbers.

    More than `most` go to a server by COPY.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table).inline(), rows)
        return
    from storage.postgresql import copy_into, insert_into  # noqa: PLC0415 -- an extra's

    quote = connection.dialect.identifier_preparer.quote
    into = f"{quote(table.name)} ({', '.join(map(quote, rows[0]))})"
    given = _as_the_driver_takes_them(connection, table, rows)
    if len(rows) > most or not insert_into(connection, into, given):
        copied = _as_the_driver_takes_them(connection, table, rows)
        copy_into(connection, f"COPY {into} FROM STDIN", copied)


def _as_the_driver_takes_them(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> Iterator[list[Any]]:
    """Yield the values of each row, in the order in which the first one names them."""
    columns = [table.c[name] for name in rows[0]]
    convert = [
        column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
        for column in columns
    ]
    for row in rows:
        yield [
            made(value) if made else value
            for made, value in zip(convert, (row[each.name] for each in columns), strict=True)
        ]
