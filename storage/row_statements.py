"""Rows as operators left them: each one that changes is stated, with the digest of what it holds.

    digest = SHA-256("cardquorum row v1" ‖ canonical CBOR of table's name and {column: value})

Left out are the row's number, which the statement's subject names, what is empty, and what is
sealed in a column of its own; of moments the microseconds since 1970 are taken. So a column that
is added later, and empty, changes no digest. A row that was removed has a digest of zeros.

The first transaction that changes anything states all rows there are: from then on every row of
these tables has a statement. Not stated are the books, which have chains of their own, and what the
block chain told.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import cbor2
from sqlalchemy import String, column, event, select, table
from sqlalchemy.orm import Session, UOWTransaction, sessionmaker

from storage.authors import AUTHOR, author_of, state_rows
from storage.book_heads import STATEMENTS
from storage.database import reading
from storage.hashing import microseconds
from storage.lookup import is_empty
from storage.model import whole_schema
from storage.model.record import ROW
from storage.prefetched import Rows

TAG: Final = b"cardquorum row v1"
GONE: Final = bytes(32)
"""The digest of a row that was removed."""
SEALED_IN: Final = {"holder": ("name", "contact"), "location": ("name", "region", "access")}
"""Columns that are sealed in another one where a home is sealed."""
UNSAID: Final[Mapping[str, tuple[str, ...]]] = {
    "reservation": ("released_at",),
    "seal": ("scrubbed",),
}
"""Columns that a statement leaves out: they follow from others, or are of no consequence."""


class Pairs(NamedTuple):
    """A table that says which rows of another belong to a row, by the columns of both numbers."""

    table: str
    owner: str
    belongs: str


LISTS: Final = {
    "card_secret": {
        "known_by": Pairs("secret_known_by", "secret_id", "holder_id"),
        "written_at": Pairs("secret_written_at", "secret_id", "location_id"),
    }
}
"""What belongs to a row, by its attribute."""
BY_CONTENT: Final = frozenset({"reservation", "signature", "verification"})
"""Tables to whose rows nobody refers by number."""
WATCHED: Final = (
    *("branch_key", "card", "card_secret", "carrier", "ceremony", "cosigner", "descriptor_copy"),
    *("drill", "drill_proof", "holder", "item", "key", "label", "location", "reservation", "seal"),
    *("signature", "succession", "vault", "vault_branch", "verification"),
)
CHANGED: Final = "changed_rows"
"""In a session's info: the digest of each row that it changed, by subject."""
BEGUN: Final = "rows_stated"
"""In a connection's info: rows were stated before."""

Values = Mapping[str, Any]


def follow(database: sessionmaker[Session]) -> None:
    """Have each transaction of an open database that has an author state the rows it changes."""
    event.listen(database, "before_flush", _ask)
    event.listen(database, "after_flush", _note_flushed)
    event.listen(database, "before_commit", _state)


def learn(database: sessionmaker[Session]) -> None:
    """Learn of a server that was opened just now whether rows were stated before: it came along."""
    with reading(database).begin() as db:
        _begun(db)


def digest(of: str, values: Values) -> bytes:
    """Return the digest of what a row of this table holds."""
    left_out = ("id", *UNSAID.get(of, ()))
    if values.get("sealed") is not None:
        left_out += SEALED_IN.get(of, ())
    held = {
        name: _plain(value)
        for name, value in values.items()
        if name not in left_out and value is not None
    }
    return sha256(TAG + cbor2.dumps([of, held], canonical=True)).digest()


def subject(name: str, values: Values) -> str:
    """Return what a statement calls a row of this table."""
    told = digest(name, values).hex()[:24] if name in BY_CONTENT else values["id"]
    return f"{name} {told}"


def note(db: Session, name: str, *written: Values) -> None:
    """Have rows that are written past the mapper stated when the session commits."""
    if AUTHOR in db.info:
        told = {subject(name, values): digest(name, values) for values in written}
        db.info.setdefault(CHANGED, {}).update(told)


def note_all(db: Session, *names: str) -> None:
    """Have all rows of some tables stated when the session commits."""
    for name in names if AUTHOR in db.info else ():
        note(db, name, *rows(db, name))


def rows(db: Session, name: str) -> Iterator[dict[str, Any]]:
    """Yield what each row of a table holds, in the order of their numbers."""
    stored = whole_schema().tables[name]
    lists = {attribute: _lists(db, pairs) for attribute, pairs in LISTS.get(name, {}).items()}
    for row in db.execute(select(stored).order_by(stored.c.id)).mappings():
        own = {attribute: found.get(row["id"], []) for attribute, found in lists.items()}
        yield {**{str(column): value for column, value in row.items()}, **own}


def _lists(db: Session, pairs: Pairs) -> dict[int, list[int]]:
    stored = whole_schema().tables[pairs.table].c
    found: dict[int, list[int]] = {}
    for owner, number in db.execute(select(stored[pairs.owner], stored[pairs.belongs])):
        found.setdefault(owner, []).append(number)
    return found


def _plain(value: object) -> object:
    """Return a value as CBOR has it."""
    if isinstance(value, datetime):
        return microseconds(value)
    if isinstance(value, list):
        return sorted(value)
    return str(value) if isinstance(value, str) else value


def _ask(db: Session, _context: UOWTransaction, _rows: object) -> None:
    """Learn whether rows were stated before, while nothing in the books is newly written."""
    if AUTHOR in db.info and BEGUN not in db.info:
        db.info[BEGUN] = author_of(db) is None or _begun(db)


def _begun(db: Session) -> bool:
    known = db.connection().info
    if not known.get(BEGUN):
        act = column("act", String)
        said = select(act).select_from(table("statement", act)).where(act == ROW).limit(1)
        known[BEGUN] = db.scalar(said) is not None
    return bool(known[BEGUN])


def _note_flushed(db: Session, _context: UOWTransaction) -> None:
    """Keep the digest of each row that a flush wrote."""
    if AUTHOR not in db.info:
        return
    changed: dict[str, bytes] = db.info.setdefault(CHANGED, {})
    for row in [*db.new, *(each for each in db.dirty if db.is_modified(each))]:
        if row.__tablename__ in WATCHED:
            held = {attr.key: getattr(row, attr.key) for attr in row.__mapper__.column_attrs}
            lists = LISTS.get(row.__tablename__, ())
            values = {**held, **{each: [one.id for one in getattr(row, each)] for each in lists}}
            changed[subject(row.__tablename__, values)] = digest(row.__tablename__, values)
    for row in db.deleted:
        if row.__tablename__ in WATCHED:
            changed[f"{row.__tablename__} {row.id}"] = GONE


def _state(db: Session) -> None:
    """State what a transaction changed, before it commits; the first that does, all there is."""
    db.flush()
    changed: dict[str, bytes] = db.info.pop(CHANGED, {})
    if not changed or author_of(db) is None:
        return
    if not db.info.get(BEGUN):
        changed = dict(everything(db))
    state_rows(db, changed)


def everything(db: Session) -> Iterator[tuple[str, bytes]]:
    """Yield what each row is called that statements tell of, and its digest."""
    for name in WATCHED:
        for values in rows(db, name):
            yield subject(name, values), digest(name, values)


def are_stated(db: Session) -> bool:
    """Tell whether operators state what rows hold."""
    return not is_empty(db, "statement") and _begun(db)


def imprint(db: Session, tables: Collection[str]) -> bytes | None:
    """Return a digest of what these tables hold and what was ever stated of their rows.

    None where it is not at hand: in a file, of large tables, and once a transaction wrote.
    """
    if db.get_bind().dialect.name == "sqlite" or db.info.get(CHANGED):
        return None
    from storage.server_dialect import driven  # noqa: PLC0415 -- it loads psycopg, an extra

    pairs = (each.table for name in tables for each in LISTS.get(name, {}).values())
    wanted = sorted({*tables, *pairs, STATEMENTS})
    snapshot = driven(db.connection()).snapshot
    held = snapshot.held(wanted) if snapshot else None
    if held is None or not {"act", "subject"} <= set(held[STATEMENTS].columns):
        return None
    columns, said = held[STATEMENTS]
    act, about = columns.index("act"), columns.index("subject")
    rows = [row for row in said if row[act] == ROW and str(row[about]).partition(" ")[0] in tables]
    held[STATEMENTS] = Rows(columns, rows)
    return sha256(TAG + repr(held).encode()).digest()


def adopt(db: Session) -> None:
    """State all rows there are, where none was: they came from a home that nobody shared."""
    if author_of(db) is not None and not _begun(db):
        state_rows(db, dict(everything(db)))
