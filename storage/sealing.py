"""Sealing a home: places and people under a passphrase, the file scrubbed of their plain text.

Of a database on a server only the rows are changed: its free pages, logs and backups are the
server's own. Where it is sealed before there is anything private, none ever holds plain text.
"""

import sqlite3
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from storage import row_statements
from storage.authors import state
from storage.errors import SealBroken, StorageError
from storage.hashing import text_digest
from storage.model import CustodyText, Holder, Location, Record, Seal
from storage.model.custody import PRIVATE_TEXTS
from storage.private_rows import (
    FIELDS,
    OPENING_KEY,
    Private,
    belongs_to,
    enclosed,
    opening_key_of,
    sealing_key_in,
)

if TYPE_CHECKING:
    from storage.encryption import Cost, OpeningKey

Database = sessionmaker[Session]
SUBJECT: Final = "seal"
SEALED: Final = "sealed"
UNSEALED: Final = "unsealed"
"""What operators state of the seal."""
READERS_WAIT = "another process reads the database; run this again when it has ended"


def is_sealed(db: Session) -> bool:
    """Return whether this home is sealed."""
    return sealing_key(db) is not None


def sealing_key(db: Session) -> bytes | None:
    """Return the key this home is sealed with; None where it is not sealed."""
    return sealing_key_in(db)


def is_locked(db: Session) -> bool:
    """Return whether this home is sealed and the session has no opening key."""
    return OPENING_KEY not in db.info and is_sealed(db)


def is_scrubbed(db: Session) -> bool:
    """Return whether no plain text is left over from before the last sealing."""
    return db.scalar(select(Seal.scrubbed)) is not False


def unlock(database: Database, passphrase: bytes) -> None:
    """Give every later session the opening key; raises PassphraseIncorrect."""
    from storage.encryption import Cost, Locked, unlocked  # noqa: PLC0415 -- costs 15 ms

    with database.begin() as db:
        seal = db.scalars(select(Seal)).one()
    cost = Cost(seal.scrypt_n, seal.scrypt_r, seal.scrypt_p)
    locked = Locked(seal.opening_key, seal.salt, cost)
    opening_key = unlocked(locked, seal.sealing_key, passphrase)
    database.configure(info={**database.kw.get("info", {}), OPENING_KEY: opening_key})


def seal_all(database: Database, passphrase: bytes, cost: "Cost | None" = None) -> int:
    """Seal what is private, or finish a sealing that was cut off; then scrub the file.

    Returns how many rows were plain text until then.
    """
    from storage.encryption import OpeningKey  # noqa: PLC0415 -- as above

    rows: list[Private] = []
    with database.begin() as db:
        if not is_sealed(db):
            opening_key, rows = OpeningKey(), _private_rows(db)
            for row in rows:
                _change_form(db, row, enclosed(row, opening_key.sealing_key, opening_key))
            _keep(db, opening_key, passphrase, cost=cost)
            row_statements.note_all(db, *row_statements.SEALED_IN)
            state(db, SEALED, SUBJECT, digest=sha256(opening_key.sealing_key).digest())
    scrub(database)
    return len(rows)


def unseal_all(database: Database) -> None:
    """Write everything private as plain text again; raises SealLocked or SealBroken."""
    with database.begin() as db:
        opening_key_of(db)
        for row in _private_rows(db):
            _change_form(db, row, _readable(row))
        seal = db.scalars(select(Seal)).one()
        db.delete(seal)
        row_statements.note_all(db, *row_statements.SEALED_IN)
        state(db, UNSEALED, SUBJECT, digest=sha256(seal.sealing_key).digest())
    info = database.kw.get("info", {})
    database.configure(info={name: value for name, value in info.items() if name != OPENING_KEY})


def change_passphrase(database: Database, passphrase: bytes, cost: "Cost | None" = None) -> None:
    """Put the opening key under another passphrase; raises SealLocked."""
    with database.begin() as db:
        opening_key = opening_key_of(db)
        db.delete(db.scalars(select(Seal)).one())
        db.flush()
        _keep(db, opening_key, passphrase, cost=cost)
    scrub(database)


def scrub(database: Database) -> None:
    """Rewrite the database file without its free pages, and empty its log of changes.

    Those of a server are not ours. Raises StorageError where another process keeps the log in use.
    """
    if database.kw["bind"].dialect.name == "sqlite":
        with database.kw["bind"].connect() as connection:
            driver = connection.connection
            try:
                driver.execute("VACUUM").close()
                busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as failure:
                raise StorageError(f"plain text is left in free pages: {failure}") from failure
        if busy:
            raise StorageError(f"plain text is left in free pages: {READERS_WAIT}")
    with database.begin() as db:
        db.execute(update(Seal).values(scrubbed=True))


def _keep(
    db: Session, opening_key: "OpeningKey", passphrase: bytes, *, cost: "Cost | None"
) -> None:
    from storage.encryption import Cost  # noqa: PLC0415 -- as above

    locked = opening_key.locked(passphrase, cost or Cost())
    seal = Seal(
        id=1,
        sealing_key=opening_key.sealing_key,
        opening_key=locked.opening_key,
        salt=locked.salt,
        scrypt_n=locked.cost.n,
        scrypt_r=locked.cost.r,
        scrypt_p=locked.cost.p,
        scrubbed=False,
    )
    db.add(seal)


def _private_rows(db: Session) -> list[Private]:
    texts = select(CustodyText).where(
        CustodyText.field.in_(PRIVATE_TEXTS),
        CustodyText.text.is_not(None) | CustodyText.sealed.is_not(None),
    )
    return [*db.scalars(select(Holder)), *db.scalars(select(Location)), *db.scalars(texts)]


def _readable(row: Private) -> dict[str, Any]:
    """Return a row's private fields; raises SealBroken for a text that is not the chain's."""
    if isinstance(row, CustodyText):
        said = row.text is not None and row.salt is not None and text_digest(row.salt, row.text)
        if said != row.digest:
            raise SealBroken(belongs_to(row))
    return {**{field: getattr(row, field) for field in FIELDS[type(row)]}, "sealed": None}


def _change_form(db: Session, row: Private, values: dict[str, Any]) -> None:
    """Store a row's private fields in another form: past the mapper, which refuses changes."""
    table = Record.metadata.tables[row.__tablename__]
    same = (column == getattr(row, column.name) for column in table.primary_key)
    db.execute(update(table).where(*same).values(values))
