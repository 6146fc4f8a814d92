"""Whatever is changed in the book behind the program's back breaks the chain."""

# ruff: noqa: S608 -- the statements are made of this file's own words

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session, sessionmaker

from storage import cards, custody
from storage.database import open_database
from storage.errors import ChainBroken
from tests.storage.making import NOW

EVENTS = 6
TRIGGERS = ("custody_event_unchanged", "custody_event_kept", "custody_text_kept")


@pytest.fixture(scope="module")
def book() -> Iterator[sessionmaker[Session]]:
    opened = open_database("sqlite://")
    with opened.begin() as db:
        for name in (*TRIGGERS, "custody_text_only_erased"):
            db.execute(text(f"DROP TRIGGER {name}"))
        write(db)
    yield opened
    opened.kw["bind"].dispose()


def write(db: Session) -> None:
    items = [cards.add_item(db, "card", name, now=NOW) for name in ("blue", "red")]
    places = [
        custody.add_location(
            db, name=name, kind="home", region=None, holder=None, access=None, lead_hours=None
        )
        for name in ("attic", "cellar")
    ]
    for number in range(EVENTS):
        custody.record_event(
            db,
            items[number % 2],
            ("placed", "seen", "moved")[number % 3],
            location=places[number // 3],
            texts={"by": "aunt", "seal": f"A-{number}", "note": "as agreed"},
            happened_at=NOW + timedelta(hours=number),
            recorded_at=NOW + timedelta(hours=number, minutes=1),
            photo_sha256=bytes([number]) * 32,
        )


CHANGES = {
    "item_id": "3 - item_id",
    "event": "CASE event WHEN 'lost' THEN 'found' ELSE 'lost' END",
    "location_id": "3 - location_id",
    "happened_at": "'2020-02-02 00:00:00.000000'",
    "recorded_at": "strftime('%Y-%m-%d %H:%M:%f', recorded_at, '+1 second')",
    "photo_sha256": "NULL",
    "previous": "randomblob(32)",
    "hash": "randomblob(32)",
}
TEXT_CHANGES = {
    "salt": "randomblob(32)",
    "digest": "randomblob(32)",
    "text": "text || '!'",
}
FIELDS = ("item", "location", "by", "seal", "note")


def broken_at(database: sessionmaker[Session], *statements: str) -> int | None:
    """Change the book, look at it, take the change back."""
    with database() as db:
        connection: Connection = db.connection()
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0
        try:
            custody.verify(db)
        except ChainBroken as broken:
            return broken.event_id
        finally:
            db.rollback()
    return None


def test_the_book_as_written_holds(book: sessionmaker[Session]) -> None:
    with book.begin() as db:
        assert custody.verify(db) == custody.all_events(db)[-1].hash


@pytest.mark.parametrize("row", range(1, EVENTS + 1))
@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_field_of_an_event(book: sessionmaker[Session], column: str, row: int) -> None:
    change = f"UPDATE custody_event SET {column} = {CHANGES[column]} WHERE id = {row}"
    assert broken_at(book, change) == row


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("column", TEXT_CHANGES)
def test_a_changed_text_breaks_the_chain(
    book: sessionmaker[Session], column: str, field: str
) -> None:
    where = f"event_id = 3 AND field = '{field}'"
    change = f"UPDATE custody_text SET {column} = {TEXT_CHANGES[column]} WHERE {where}"
    assert broken_at(book, change) == 3


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_text_breaks_the_chain(book: sessionmaker[Session], field: str) -> None:
    change = f"DELETE FROM custody_text WHERE event_id = 4 AND field = '{field}'"
    assert broken_at(book, change) == 4


def test_a_text_moved_to_another_field_breaks_the_chain(book: sessionmaker[Session]) -> None:
    change = "UPDATE custody_text SET field = 'x' || field WHERE event_id = 4"
    names = "UPDATE custody_text SET field = '{}' WHERE event_id = 4 AND field = '{}'"
    off = "PRAGMA ignore_check_constraints = ON"
    with book() as db:
        db.connection().exec_driver_sql(off)
        for statement in (change, names.format("by", "xnote"), names.format("note", "xby")):
            db.connection().exec_driver_sql(statement)
        with pytest.raises(ChainBroken):
            custody.verify(db)
        db.rollback()
        db.connection().exec_driver_sql("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.parametrize("row", range(1, EVENTS))
def test_a_missing_event_breaks_the_chain(book: sessionmaker[Session], row: int) -> None:
    texts = f"DELETE FROM custody_text WHERE event_id = {row}"
    event = f"DELETE FROM custody_event WHERE id = {row}"
    assert broken_at(book, texts, event) == row + 1


def test_events_in_another_order_break_the_chain(book: sessionmaker[Session]) -> None:
    moves = [(2, 99), (3, 2), (99, 3)]
    statements = [
        f"UPDATE {table} SET {column} = {new} WHERE {column} = {old}"
        for old, new in moves
        for table, column in (("custody_event", "id"), ("custody_text", "event_id"))
    ]
    assert broken_at(book, *statements) == 2


@pytest.mark.parametrize(("table", "name", "first"), [("item", "red", 2), ("location", "attic", 1)])
def test_a_renamed_thing_or_place(
    book: sessionmaker[Session], table: str, name: str, first: int
) -> None:
    change = f"UPDATE {table} SET name = 'green' WHERE name = '{name}'"
    assert broken_at(book, change) == first


def test_a_thing_of_another_kind(book: sessionmaker[Session]) -> None:
    assert broken_at(book, "UPDATE item SET kind = 'plate' WHERE name = 'red'") == 2


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(row=st.integers(1, EVENTS), column=st.sampled_from(sorted(CHANGES)), data=st.data())
def test_any_other_value(
    book: sessionmaker[Session], row: int, column: str, data: st.DataObject
) -> None:
    values = {
        "event": st.sampled_from(["sealed", "opened", "lost", "stolen", "destroyed"]),
        "photo_sha256": st.binary(min_size=32, max_size=32).filter(
            lambda b: b != bytes([row - 1]) * 32
        ),
        "previous": st.binary(min_size=32, max_size=32).filter(any),
        "hash": st.binary(min_size=32, max_size=32),
        "happened_at": st.datetimes().map(lambda at: at.isoformat(" ", "microseconds")),
        "recorded_at": st.datetimes().map(lambda at: at.isoformat(" ", "microseconds")),
    }
    if column in values:
        value = data.draw(values[column])
        shown = f"x'{value.hex()}'" if isinstance(value, bytes) else f"'{value}'"
        change = f"UPDATE custody_event SET {column} = {shown} WHERE id = {row}"
        assert broken_at(book, change) == row
