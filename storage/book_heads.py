"""How the two chained books end: custody events, and what operators signed."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    LargeBinary,
    ScalarSelect,
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


def book_ends(db: Session | Connection, asked: Mapping[str, int]) -> dict[str, BookEnd]:
    """Return how each book ends, and its hash at the number that is asked for of it, by table."""
    ends = []
    for name, at in asked.items():
        book, (last, head) = _book(name), newest(name)
        ends.append(
            select(
                literal(name).label("name"),
                func.count(book.c.id).label("entries"),
                last.label("number"),
                head.label("head"),
                select(book.c.hash).where(book.c.id == at).scalar_subquery().label("at"),
            ).select_from(book)
        )
    rows = db.execute(union_all(*ends))
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


def _book(name: str) -> TableClause:
    return table(name, column("id", Integer), column("hash", LargeBinary))
