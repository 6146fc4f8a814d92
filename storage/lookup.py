"""Finding rows: one that must be there, one that must not, many at a time."""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import TypeVar

from sqlalchemy import literal, select, table
from sqlalchemy.orm import Session

from storage.errors import AlreadyExists, NotFound

Row = TypeVar("Row")
Value = TypeVar("Value")
BATCH = 500


def present(row: Row | None, kind: str, name: str) -> Row:
    """Return the row; raises NotFound where there is none."""
    if row is None:
        raise NotFound(kind, name)
    return row


def absent(row: object, kind: str, name: str) -> None:
    """Raise AlreadyExists where there is a row."""
    if row is not None:
        raise AlreadyExists(kind, name)


def first_free(wanted: str, taken: Iterable[str]) -> str:
    """Return the name wanted, or the first of name-2, name-3… that is not taken."""
    known = set(taken)
    numbered = (f"{wanted}-{number}" for number in count(2))
    return wanted if wanted not in known else next(name for name in numbered if name not in known)


def batches(values: Iterable[Value]) -> Iterator[list[Value]]:
    """Yield the values in lists short enough for one statement."""
    rest = iter(values)
    while batch := list(islice(rest, BATCH)):
        yield batch


def is_empty(db: Session, name: str) -> bool:
    """Tell whether a table has no row, without its noun: to have that mapped takes milliseconds."""
    return db.scalar(select(literal(1)).select_from(table(name)).limit(1)) is None
