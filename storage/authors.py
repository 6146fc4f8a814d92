"""Who signs what a session adds: the operator whose home it is, where several share a database."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.book_heads import STATEMENTS, newest
from storage.bulk import insert_rows
from storage.database import READ_ONLY
from storage.hashing import GENESIS
from storage.lookup import is_empty
from storage.model.record import ROW

if TYPE_CHECKING:
    from storage.model import Statement

AUTHOR: Final = "author"
"""In a session's info: the operator who signs what it adds."""
STATED: Final = "stated"
"""In a session's info: the number and hash of the last statement it added."""


class Last(NamedTuple):
    """The number and hash of the last statement, None where there is none yet."""

    number: int | None
    hash: bytes | None


class Told(TypedDict):
    """What a statement tells."""

    act: str
    vault: str | None
    subject: str
    digest: bytes
    said_at: datetime


class Author(Protocol):
    """An operator as a home signs for them."""

    @property
    def name(self) -> str:
        """Return the operator's name."""

    @property
    def public_key(self) -> bytes:
        """Return the 32 bytes of the Ed25519 key."""

    def now(self) -> datetime:
        """Return the time of the operator's clock."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of a signature."""


def author_of(db: Session) -> Author | None:
    """Return who signs what this session adds, None where nobody is told.

    Nobody is where it may only be read, and in a file until a database in which operators signed
    is copied there.
    """
    author: Author | None = db.info.get(AUTHOR)
    if author is None or READ_ONLY in db.get_bind().get_execution_options():
        return None
    if db.get_bind().dialect.name == "sqlite" and is_empty(db, "statement"):
        return None
    return author


def state(
    db: Session,
    act: str,
    subject: str,
    *,
    digest: bytes,
    now: datetime | None = None,
    vault: str | None = None,
    last: Last | None = None,
) -> Last | None:
    """Append that this session's author did something (`storage.statements`), if there is one.

    It was done now, by the author's clock, unless another moment is told. The last statement is
    asked for where it is not told. Returns which is the last one since; None without an author.
    """
    author = author_of(db)
    if author is None:
        return None
    said = _signed(
        author,
        last or _last(db),
        act=act,
        vault=vault,
        subject=subject,
        digest=digest,
        said_at=now or author.now(),
    )
    db.add(said)
    db.flush()
    return _kept(db, said)


def state_rows(db: Session, digests: Mapping[str, bytes]) -> None:
    """Append what rows hold from now on, by what they are called (`storage.row_statements`)."""
    author = author_of(db)
    if author is None or not digests:
        return
    from storage.model import Record, Statement  # noqa: PLC0415 -- a home alone needs it never

    table, now = Record.metadata.tables[Statement.__tablename__], author.now()
    last, made = _last(db), list[dict[str, object]]()
    for subject, digest in digests.items():
        said = _signed(
            author, last, act=ROW, vault=None, subject=subject, digest=digest, said_at=now
        )
        made.append({column.name: getattr(said, column.name) for column in table.columns})
        last = Last(said.id, said.hash)
    insert_rows(db.connection(), table, made)
    _kept(db, said)


def _last(db: Session) -> Last:
    """Return the last statement as this session knows it, else as the database does."""
    known = db.info.get(STATED)
    return Last(*known) if known else Last(*db.execute(select(*newest(STATEMENTS))).one())


def _kept(db: Session, said: "Statement") -> Last:
    db.info[STATED] = (said.id, said.hash)
    return Last(said.id, said.hash)


def _signed(author: Author, last: Last, **told: Unpack[Told]) -> "Statement":
    """Return a statement on top of the last one."""
    from storage import statements  # noqa: PLC0415 -- a home alone needs it never
    from storage.model import Statement  # noqa: PLC0415 -- as above

    said = Statement(
        **told,
        id=(last.number or 0) + 1,
        operator=author.name,
        public_key=author.public_key,
        previous=last.hash or GENESIS,
    )
    said.hash = statements.hashed(said)
    said.signature = author.sign(statements.DOMAIN + said.hash)
    return said
