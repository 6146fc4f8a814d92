"""What operators sign: chained, appended to, and nothing of it can be changed unseen."""

from collections.abc import Iterator
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session, sessionmaker

from storage import authors, ceremonies, custody, statements
from storage.authors import AUTHOR
from storage.book_heads import BOOKS, book_ends
from storage.database import open_database
from storage.errors import StatementBroken, StorageError
from storage.model import Statement
from tests.once import computing_once
from tests.storage.making import NOW, add_card, add_ceremony, add_vault

DIGEST: Final = bytes(range(32))


class Signer:
    """An operator of the tests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.generate()
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


ANNA: Final = Signer("anna")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[sessionmaker[Session]]:
    """A database with three statements of two operators, for every test."""
    url: URL = make_url("sqlite://")
    if request.param == "postgresql":
        url = request.getfixturevalue("on_server").copy(lasting=True)
    with computing_once():
        opened = open_database(url)
    with opened.begin() as db:
        begin(db)
        for signer in (ANNA, Signer("ben"), ANNA):
            db.info[AUTHOR] = signer
            authors.state(db, "opened", signer.name, digest=DIGEST, now=NOW, vault="abcdefgh")
    yield opened
    opened.kw["bind"].dispose()


def begin(db: Session) -> None:
    """Have a file begin with what came there from a server."""
    if db.get_bind().dialect.name == "sqlite":
        db.info[AUTHOR] = ANNA
        said = Statement(
            id=1, act="event", subject="1", digest=DIGEST, operator="anna",
            public_key=ANNA.public_key, said_at=NOW, previous=bytes(32),
        )  # fmt: skip
        said.hash = statements.hashed(said)
        said.signature = ANNA.sign(statements.DOMAIN + said.hash)
        db.add(said)
        db.flush()
    else:
        db.info[AUTHOR] = ANNA
        authors.state(db, "event", "1", digest=DIGEST, now=NOW)


@pytest.fixture
def db(shared: sessionmaker[Session]) -> Iterator[Session]:
    """A transaction that is taken back at its end."""
    with shared() as session:
        yield session
        session.rollback()


def unguarded(db: Session, statement: str) -> None:
    """Change rows as who runs the database can: past its triggers."""
    if db.get_bind().dialect.name == "sqlite":
        for name in ("statement_unchanged", "statement_kept"):
            db.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
    else:
        db.execute(text("SET LOCAL session_replication_role = replica"))
    db.execute(text(statement))


def test_statements_are_chained_and_hold(db: Session) -> None:
    said = list(statements.verified(db))
    assert [each.operator for each in said] == ["anna", "anna", "ben", "anna"]
    assert [each.previous for each in said[1:]] == [each.hash for each in said[:-1]]
    counted = [(name, count) for _, name, count in statements.authors(db)]
    assert sorted(counted) == [("anna", 3), ("ben", 1)]
    end = book_ends(db, dict(zip(BOOKS, (0, 2), strict=True)))["statement"]
    assert (end.entries, end.number, end.head, end.at) == (4, 4, said[3].hash, said[1].hash)


CHANGES: Final = {
    "UPDATE statement SET act = 'approved' WHERE id = 2": 2,
    "UPDATE statement SET subject = 'other' WHERE id = 2": 2,
    "UPDATE statement SET vault = NULL WHERE id = 2": 2,
    "UPDATE statement SET vault = 'zzzzzzzz' WHERE id = 2": 2,
    "UPDATE statement SET operator = 'ben' WHERE id = 2": 2,
    "UPDATE statement SET digest = previous WHERE id = 2": 2,
    "UPDATE statement SET said_at = '2020-01-01 00:00:00.000000Z' WHERE id = 2": 2,
    "UPDATE statement SET hash = digest WHERE id = 2": 2,
    "UPDATE statement SET previous = digest WHERE id = 3": 3,
    "UPDATE statement SET public_key = digest WHERE id = 2": 2,
    "UPDATE statement SET public_key = (SELECT s.public_key FROM statement s WHERE s.id = 3)"
    " WHERE id = 2": 2,
    "UPDATE statement SET signature = (SELECT s.signature FROM statement s WHERE s.id = 4)"
    " WHERE id = 2": 2,
    "DELETE FROM statement WHERE id = 1": 1,
    "DELETE FROM statement WHERE id = 3": 3,
    "UPDATE statement SET id = -id WHERE id = 2": 1,
    "UPDATE statement SET id = CASE id WHEN 2 THEN 30 ELSE id END": 2,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_statement_that_was_changed_is_named(db: Session, change: str) -> None:
    said = change
    if db.get_bind().dialect.name == "sqlite":
        said = change.replace("000000Z", "000000")
    unguarded(db, said)
    with pytest.raises(StatementBroken) as broken:
        list(statements.verified(db))
    assert broken.value.number == CHANGES[change]


def test_an_old_signature_says_nothing_of_another_ceremony(db: Session) -> None:
    columns = "act, vault, digest, operator, public_key, said_at, signature"
    unguarded(
        db,
        f"INSERT INTO statement (id, subject, previous, hash, {columns}) SELECT 5, 'other',"  # noqa: S608 -- the tests' own
        f" (SELECT s.hash FROM statement s WHERE s.id = 4), digest, {columns}"
        " FROM statement WHERE id = 2",
    )
    with pytest.raises(StatementBroken) as broken:
        list(statements.verified(db))
    assert broken.value.number == 5


@pytest.mark.parametrize(
    "change",
    ["UPDATE statement SET operator = 'eve'", "DELETE FROM statement", "TRUNCATE statement"],
)
def test_statements_are_only_appended_to(db: Session, change: str) -> None:
    if change.startswith("TRUNCATE") and db.get_bind().dialect.name == "sqlite":
        pytest.skip("SQLite has no such statement")
    with pytest.raises(StorageError, match="only ever appended to"):
        db.execute(text(change))


OTHERS: Final = {
    "statement": "act, vault, subject, digest, operator, public_key, said_at, signature",
    "custody_event": "item_id, event, location_id, happened_at, recorded_at, photo_sha256",
}
NOT_NEXT: Final = {
    "a number left out": ("max(id) + 2", "(SELECT hash FROM {0} ORDER BY id DESC LIMIT 1)"),
    "a number below": ("-1", "(SELECT hash FROM {0} ORDER BY id DESC LIMIT 1)"),
    "on top of another": ("max(id) + 1", "(SELECT hash FROM {0} ORDER BY id LIMIT 1)"),
    "on top of nothing": ("max(id) + 1", "digest"),
}


@pytest.mark.parametrize("book", OTHERS)
@pytest.mark.parametrize(("number", "previous"), NOT_NEXT.values(), ids=NOT_NEXT)
def test_an_entry_of_a_book_follows_the_last_one(
    db: Session, book: str, number: str, previous: str
) -> None:
    item = add_card(db, "blue").item
    for _ in range(2):
        custody.record_event(
            db, item, "seen", location=None, texts={}, happened_at=NOW, recorded_at=NOW
        )
    before, columns = previous.format(book).replace("digest", "hash"), OTHERS[book]
    new = "substr(hash, 2) || substr(hash, 1, 1)"
    next_number = number.replace("max(id)", f"(SELECT max(id) FROM {book})")  # noqa: S608 -- the tests' own
    with pytest.raises(StorageError, match="follows the last one"):
        db.execute(
            text(
                f"INSERT INTO {book} (id, previous, hash, {columns}) SELECT {next_number},"  # noqa: S608 -- as above
                f" {before}, {new}, {columns} FROM {book} WHERE id = 1"
            )
        )


def test_no_row_is_changed_through_the_mapper(db: Session) -> None:
    said = next(statements.verified(db))
    said.operator = "eve"
    with pytest.raises(StorageError, match="only ever appended to"):
        db.flush()


def test_what_operators_add_is_signed(db: Session) -> None:
    db.info[AUTHOR] = ANNA
    vault = add_vault(db)
    ceremony = add_ceremony(db, vault)
    ceremonies.state_payment(db, "opened", ceremony, payment=DIGEST, now=NOW)
    for _ in range(2):
        ceremonies.keep_signatures(
            db, ceremony.id, [ceremonies.NewSignature(0, b"\x02" * 33, bytes(64))], now=NOW
        )
    ceremonies.abandon(db, ceremony, NOW)
    item = add_card(db, "blue").item
    custody.record_event(
        db, item, "seen", location=None, texts={}, happened_at=NOW, recorded_at=NOW
    )
    acts = [(each.act, each.subject) for each in statements.verified(db)][4:]
    name = ceremony.public_id
    assert acts == [
        ("vault", vault.name), ("opened", name), ("signed", name), ("abandoned", name),
        ("event", "1"),
    ]  # fmt: skip


def test_a_file_in_which_nobody_signed_begins_no_book() -> None:
    with computing_once():
        opened = open_database("sqlite://")
    with opened.begin() as db:
        db.info[AUTHOR] = ANNA
        add_ceremony(db, add_vault(db))
        assert list(statements.verified(db)) == []
    opened.kw["bind"].dispose()
