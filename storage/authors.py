"""Who signs what a session adds: the operator whose home it is, where several share a database."""

from datetime import datetime
from typing import Final, NamedTuple, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.book_heads import STATEMENTS, newest
from storage.database import READ_ONLY
from storage.hashing import GENESIS
from storage.lookup import is_empty

AUTHOR: Final = "author"
"""In a session's info: the operator who signs what it adds."""
STATED: Final = "stated"
"""In a session's info: the number and hash of the last statement it added."""


class Last(NamedTuple):
    """The number and hash of the last statement, None where there is none yet."""

    number: int | None
    hash: bytes | None


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
    from storage import statements  # noqa: PLC0415 -- a home alone needs it never
    from storage.model import Statement  # noqa: PLC0415 -- as above

    number, previous = last or Last(*db.execute(select(*newest(STATEMENTS))).one())
    said = Statement(
        id=(number or 0) + 1,
        act=act,
        vault=vault,
        subject=subject,
        digest=digest,
        operator=author.name,
        public_key=author.public_key,
        said_at=now or author.now(),
        previous=previous or GENESIS,
    )
    said.hash = statements.hashed(said)
    said.signature = author.sign(statements.DOMAIN + said.hash)
    db.add(said)
    db.flush()
    db.info[STATED] = (said.id, said.hash)
    return Last(said.id, said.hash)
