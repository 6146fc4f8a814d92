"""Where the books on a server ended when this home last saw them (`book.json`, mode 0600).

A book that is shorter, or another one at that place, was rolled back or forked: whoever runs the
server can do that, and no trigger there tells.
"""

import json
from contextlib import suppress
from typing import Final, NamedTuple

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from coordinator.errors import BookRolledBack, SettingsError, UsageError
from coordinator.files import write_private
from coordinator.foreign_json import Field, read_json
from coordinator.home.settings import Home
from storage import book_heads, custody
from storage.authors import STATED
from storage.database import Database, asking_anew, reading

FILE: Final = "book.json"
SIZE_MAX: Final = 4_096
NUMBER_MAX: Final = (1 << 31) - 1
HELD: Final = "books_held"
"""In a connection's info: its books were held against what this home saw."""
ENTRIES: Final = {book_heads.EVENTS: "event", book_heads.STATEMENTS: "statement"}


class End(NamedTuple):
    """The number of the last entry of a book, and its hash in hex."""

    number: int
    head: str


Ends = dict[str, End]
"""By table: custody events, and what operators signed."""


def follow(home: Home, database: Database) -> None:
    """Hold both books against what this home saw, and keep how far they go from now on.

    They are held again on each further connection: another server may have taken over. Raises
    BookRolledBack where one is shorter, another one, or lacks entries.
    """
    with reading(database).begin() as db:
        _hold(home, db, db.connection())
    server = database.kw["bind"].dialect

    def begun(_: Session, __: SessionTransaction, connection: Connection) -> None:
        """Hold the books of a connection to the server that no transaction had before."""
        if connection.dialect is server and not connection.info.get(HELD):
            _hold(home, connection, connection)

    def committed(session: Session) -> None:
        """Keep the last entries that a transaction of this home added."""
        keys = {book_heads.EVENTS: custody.ADDED, book_heads.STATEMENTS: STATED}
        added = {book: session.info.pop(key, None) for book, key in keys.items()}
        new = {book: End(last[0], last[1].hex()) for book, last in added.items() if last}
        if new:
            _keep(home, _seen(home), new)

    event.listen(database, "after_begin", begun)
    event.listen(database, "after_commit", committed)


def _hold(home: Home, db: Session | Connection, connection: Connection) -> None:
    """Hold both books against what this home saw, and keep how far they go.

    A transaction may have begun before what this home saw last: then a newer one is asked.
    """
    seen = _seen(home)
    found = _found(db, seen)
    try:
        _compare(seen, found)
    except BookRolledBack:
        with asking_anew(connection.engine).connect() as newer:
            found = _found(newer, seen)
        _compare(seen, found)
    connection.info[HELD] = True
    _keep(home, seen, {book: End(now.number, now.head.hex()) for book, now in found.items()})


def _found(db: Session | Connection, seen: Ends) -> dict[str, book_heads.BookEnd]:
    asked = {book: seen[book].number if book in seen else 0 for book in book_heads.BOOKS}
    return book_heads.book_ends(db, asked)


def _compare(seen: Ends, found: dict[str, book_heads.BookEnd]) -> None:
    for book, now in found.items():
        before, entry = seen.get(book), ENTRIES[book]
        if before is not None and now.at != bytes.fromhex(before.head):
            raise BookRolledBack(before.number, now.number, entry=entry)
        if now.entries != now.number:
            raise BookRolledBack(now.number, now.entries, entry=entry, gaps=True)


def forget(home: Home) -> None:
    """Forget what this home saw: a person compared the book's head with one on paper."""
    (home.folder / FILE).unlink(missing_ok=True)


def _keep(home: Home, seen: Ends, new: Ends) -> None:
    """Keep how far the books go; where nothing can be written, what was seen before stays."""
    farther = {
        book: end
        for book, end in new.items()
        if end.number > (seen[book].number if book in seen else 0)
    }
    if farther:
        kept = {book: end._asdict() for book, end in {**seen, **farther}.items()}
        with suppress(UsageError):
            write_private(home.folder / FILE, (json.dumps(kept) + "\n").encode())


def _seen(home: Home) -> Ends:
    file = home.folder / FILE
    if not file.exists():
        return {}
    try:
        with file.open("rb") as opened:
            kept = read_json(opened.read(SIZE_MAX))
    except (OSError, ValueError) as failure:
        raise SettingsError(f"{file} cannot be read: {failure}") from failure
    if isinstance(kept, dict) and "number" in kept:
        kept = {book_heads.EVENTS: kept}  # as it was written before operators signed
    if not isinstance(kept, dict) or not kept.keys() <= set(book_heads.BOOKS):
        raise SettingsError(f"{file} does not say where the books ended")
    try:
        ends = {str(book): Field(end) for book, end in kept.items()}
        return {
            book: End(end["number"].integer(1, NUMBER_MAX), end["head"].hash())
            for book, end in ends.items()
        }
    except ValueError as failure:
        raise SettingsError(f"{file} does not say where the custody book ended") from failure
