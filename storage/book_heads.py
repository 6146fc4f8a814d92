"""How the two chained books end: custody events, and what operators signed."""

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    LargeBinary,
    ScalarSelect,
    Select,
    TableClause,
    column,
    func,
    literal,
    select,
    table,
    union_all,
)
from sqlalchemy.orm import Session

from storage.hashing import GENESIS

EVENTS: Final = "custody_event"
STATEMENTS: Final = "statement"
BOOKS: Final = (EVENTS, STATEMENTS)


class BookEnd(NamedTuple):
    """How many rows a book has, its last one's number and hash, and the hash at a number asked for.

    That is None where there is no such row.
    """

    entries: int
    number: int
    head: bytes
    at: bytes | None


class Asked(NamedTuple):
    """For each book the number whose hash is wanted."""

    custody_event: int
    statement: int


def book_ends(db: Session | Connection, asked: Asked) -> dict[str, BookEnd]:
    """Return how each book ends, and its hash at the number asked for, by table."""
    rows = db.execute(union_all(*(_end(name, at) for name, at in asked._asdict().items())))
    return {
        row["name"]: BookEnd(row["entries"], row["number"] or 0, row["head"] or GENESIS, row["at"])
        for row in rows.mappings()
    }


def newest(name: str) -> tuple[ScalarSelect[Any], ScalarSelect[Any]]:
    """Return what selects the number and the hash of a book's last row, NULL where there is none.

    Its noun need not be mapped for it.
    """
    book = _book(name)
    number, head = (select(each).order_by(book.c.id.desc()).limit(1) for each in book.c)
    return number.scalar_subquery(), head.scalar_subquery()


def _end(name: str, number: int) -> Select[Any]:
    """Return what selects one book's end."""
    book = _book(name)
    last, head = newest(name)
    there = select(book.c.hash).where(book.c.id == number).scalar_subquery()
    return select(
        literal(name).label("name"),
        func.count(book.c.id).label("entries"),
        last.label("number"),
        head.label("head"),
        there.label("at"),
    ).select_from(book)


def _book(name: str) -> TableClause:
    return table(name, column("id", Integer), column("hash", LargeBinary))
