"""What operators said they did: signed by the key of a home, chained, appended to, never changed.

    statement = canonical CBOR array of id, act, vault, subject, digest, operator, public key,
                microseconds since 1970
    hash      = SHA-256("cardquorum statement v1" ‖ previous hash ‖ statement)
    signature = Ed25519 (RFC 8032) over "cardquorum operator v1" ‖ line feed ‖ hash

`vault` is the checksum of the vault's descriptor. So nothing signed says anything of another vault,
ceremony or moment, and none can be left out or put elsewhere. Statements begin on a server, where
several write; they go on wherever that database is copied to.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import cbor2
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage import model
from storage.errors import StatementBroken
from storage.hashing import GENESIS, microseconds
from storage.lookup import batches

if TYPE_CHECKING:
    from storage.model import Statement

TAG: Final = b"cardquorum statement v1"
DOMAIN: Final = b"cardquorum operator v1\n"
ALTERED: Final = "is not what the key in it signed"
ROWS_AT_ONCE: Final = 1_000


def hashed(said: "Statement") -> bytes:
    """Return the hash of a statement on top of the one before it."""
    content = [said.id, said.act, said.vault, said.subject, said.digest, said.operator]
    content += [said.public_key, microseconds(said.said_at)]
    return hashlib.sha256(TAG + said.previous + cbor2.dumps(content, canonical=True)).digest()


def holds(said: "Statement") -> bool:
    """Tell whether a statement is what the key in it signed."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- costs 15 ms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 -- as above
        Ed25519PublicKey,
    )

    try:
        if said.hash != hashed(said):
            return False
        key = Ed25519PublicKey.from_public_bytes(said.public_key)
        key.verify(said.signature, DOMAIN + said.hash)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def newest_about(db: Session, acts: Sequence[str], subject: str) -> "Statement | None":
    """Return what was said last of one thing."""
    own = select(model.Statement).where(
        model.Statement.act.in_(acts), model.Statement.subject == subject
    )
    return db.scalars(own.order_by(model.Statement.id.desc()).limit(1)).one_or_none()


def first_about(db: Session, act: str, subjects: Iterable[str]) -> dict[str, "Statement"]:
    """Return what was said first of each of several things, by subject."""
    found: dict[str, Statement] = {}
    for batch in batches(set(subjects)):
        first = (
            select(func.min(model.Statement.id))
            .where(model.Statement.act == act, model.Statement.subject.in_(batch))
            .group_by(model.Statement.subject)
        )
        rows = db.scalars(select(model.Statement).where(model.Statement.id.in_(first)))
        found.update((each.subject, each) for each in rows)
    return found


def last_of(db: Session, act: str, kinds: Collection[str]) -> dict[str, "Statement"]:
    """Return what was said last of each thing whose first word is one of these, by subject."""
    last = select(func.max(model.Statement.id), model.Statement.subject).where(
        model.Statement.act == act
    )
    numbers = [
        number
        for number, subject in db.execute(last.group_by(model.Statement.subject))
        if subject.partition(" ")[0] in kinds
    ]
    found: dict[str, Statement] = {}
    for batch in batches(numbers):
        rows = db.scalars(select(model.Statement).where(model.Statement.id.in_(batch)))
        found.update((each.subject, each) for each in rows)
    return found


def all_about(db: Session, act: str, subject: str) -> Sequence["Statement"]:
    """Return everything that was said of one thing, in order."""
    own = select(model.Statement).where(
        model.Statement.act == act, model.Statement.subject == subject
    )
    return db.scalars(own.order_by(model.Statement.id)).all()


def authors(db: Session) -> list[tuple[bytes, str, int]]:
    """Return each key that rows name, the name that its newest row gives, and how many there are.

    Nothing is verified: a key that a row names counts for nothing.
    """
    newest = select(
        model.Statement.public_key, func.max(model.Statement.id), func.count()
    ).group_by(model.Statement.public_key)
    counted = db.execute(newest).all()
    names = dict(
        db.execute(
            select(model.Statement.id, model.Statement.operator).where(
                model.Statement.id.in_([last for _, last, _ in counted])
            )
        ).all()
    )
    return [(key, names[last], count) for key, last, count in sorted(counted, key=lambda r: r[1])]


def verified(db: Session) -> Iterator["Statement"]:
    """Yield every statement in order; raises StatementBroken at the first that does not hold."""
    head = GENESIS
    for number, said in enumerate(_in_order(db), 1):
        if said.id != number:
            raise StatementBroken(number, "is missing")
        if said.previous != head:
            raise StatementBroken(number, "is not on top of the one before it")
        if not holds(said):
            raise StatementBroken(number, ALTERED)
        head = said.hash
        yield said


def _in_order(db: Session) -> Iterator["Statement"]:
    """Yield every row by its number, so many at once."""
    wanted = select(model.Statement).order_by(model.Statement.id).limit(ROWS_AT_ONCE)
    rows = db.scalars(wanted).all()
    while rows:
        yield from rows
        rows = db.scalars(wanted.where(model.Statement.id > rows[-1].id)).all()
