import hashlib
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from storage import cards, custody
from storage.errors import AlreadyExists, NotFound, StorageError
from storage.hashing import canonical, chained, microseconds, text_digest
from storage.model import CustodyEvent, CustodyText, Item, Location
from tests.storage.making import NOW, erase_text

HOUR = timedelta(hours=1)


def place(db: Session, name: str, **different: object) -> Location:
    given = {"kind": "home", "region": None, "holder": None, "access": None, "lead_hours": None}
    return custody.add_location(db, name=name, **{**given, **different})


def record(db: Session, item: Item, event: str = "seen", **different: object) -> CustodyEvent:
    told = {"location": None, "texts": {}, "happened_at": NOW, "recorded_at": NOW}
    return custody.record_event(db, item, event, **{**told, **different})


@pytest.fixture
def card(db: Session) -> Item:
    return cards.add_item(db, "card", "blue", now=NOW)


def test_people_and_places_are_found_by_name(db: Session) -> None:
    aunt = custody.add_holder(db, "aunt", 5_000_000, contact="+33 …")
    bank = place(db, "bank", kind="bank-vault", region="lyon", holder=aunt, lead_hours=48)
    attic = place(db, "attic")
    assert custody.holder_named(db, "aunt") is aunt
    assert custody.location_named(db, "bank").holder is aunt
    assert custody.all_locations(db) == [attic, bank]
    assert custody.all_holders(db) == [aunt]
    for find, kind in ((custody.holder_named, "holder"), (custody.location_named, "location")):
        with pytest.raises(NotFound, match=f"there is no {kind} moon"):
            find(db, "moon")


def test_a_name_is_given_once(db: Session) -> None:
    custody.add_holder(db, "aunt", None, contact=None)
    place(db, "bank")
    with pytest.raises(AlreadyExists, match="holder aunt"):
        custody.add_holder(db, "aunt", None, contact=None)
    with pytest.raises(AlreadyExists, match="location bank"):
        place(db, "bank")


@pytest.mark.parametrize(("field", "value"), [("kind", "moon"), ("lead_hours", -1)])
def test_what_cannot_be_a_place_is_refused(db: Session, field: str, value: object) -> None:
    with pytest.raises(StorageError, match=field):
        place(db, "bank", **{field: value})


def test_an_event_says_what_it_was_told(db: Session, card: Item) -> None:
    bank = place(db, "bank")
    event = record(
        db,
        card,
        "placed",
        location=bank,
        texts={"by": "aunt", "seal": "A-17", "note": None},
        recorded_at=NOW + HOUR,
        photo_sha256=bytes(range(32)),
    )
    db.expire_all()
    assert (event.item, event.event, event.location) == (card, "placed", bank)
    assert (event.happened_at, event.recorded_at) == (NOW, NOW + HOUR)
    assert (event.said("by"), event.said("seal"), event.said("note")) == ("aunt", "A-17", None)
    assert (event.said("item"), event.said("location")) == ("card:blue", "bank")
    assert event.photo_sha256 == bytes(range(32))


def test_events_are_read_in_the_order_they_were_recorded(db: Session, card: Item) -> None:
    other = cards.add_item(db, "plate", "steel", now=NOW)
    second = record(db, card, "moved", happened_at=NOW + HOUR)
    first = record(db, card, "placed", happened_at=NOW)
    third = record(db, card, "seen", happened_at=NOW + HOUR)
    elsewhere = record(db, other)
    assert custody.events_of(db, card) == [second, first, third]
    assert custody.events_of(db, other) == [elsewhere]
    assert custody.all_events(db) == [second, first, third, elsewhere]
    assert custody.all_items(db) == [card, other]
    other.retired_at = NOW
    assert custody.all_items(db) == [card]


def test_an_event_nobody_knows_is_refused(db: Session, card: Item) -> None:
    with pytest.raises(StorageError, match="event_known"):
        record(db, card, "eaten")


def test_the_canonical_bytes_are_those_of_the_decision(db: Session, card: Item) -> None:
    bank = place(db, "bank")
    record(db, card)
    event = record(db, card, "placed", location=bank, texts={"note": "under the stairs"})
    salt = event.texts["note"].salt
    assert salt is not None
    assert len(salt) == 32
    assert event.texts["note"].digest == hashlib.sha256(salt + b"under the stairs").digest()
    expected = [
        2,
        card.id,
        "placed",
        bank.id,
        1_772_368_215_123_456,
        1_772_368_215_123_456,
        None,
        [
            event.texts["item"].digest,
            event.texts["location"].digest,
            None,
            None,
            event.texts["note"].digest,
        ],
    ]
    assert cbor2.loads(canonical(event)) == expected
    assert canonical(event)[:4] == bytes([0x88, 2, card.id, 0x66])
    preimage = b"cardquorum custody v1" + event.previous + canonical(event)
    assert event.hash == hashlib.sha256(preimage).digest()


def test_a_known_hash_never_changes() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    said = {
        field: CustodyText(
            field=field, text=field, salt=bytes(32), digest=text_digest(bytes(32), field)
        )
        for field in ("item", "by")
    }
    event = CustodyEvent(
        id=1,
        item_id=2,
        event="sealed",
        location_id=None,
        happened_at=moment,
        recorded_at=moment,
        photo_sha256=bytes(32),
        texts=said,
    )
    assert chained(bytes(32), canonical(event)).hex() == KNOWN_HASH


KNOWN_HASH = "855c15caa5c5092a028f57d435d0a78b16e3dd31dbb6f59137d19c585597c274"


def test_microseconds_are_exact() -> None:
    assert microseconds(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1
    assert microseconds(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) % 10 == 9


def test_each_event_stands_on_the_one_before(db: Session, card: Item) -> None:
    assert custody.verify(db) == bytes(32)
    first, second = record(db, card), record(db, card)
    assert first.previous == bytes(32)
    assert second.previous == first.hash
    assert custody.verify(db) == second.hash


def test_equal_texts_do_not_show_as_equal(db: Session, card: Item) -> None:
    one, two = (record(db, card, texts={"by": "aunt"}) for _ in range(2))
    assert one.texts["by"].digest != two.texts["by"].digest


def test_an_erased_text_is_gone_and_the_chain_holds(db: Session, card: Item) -> None:
    event = record(db, card, texts={"note": "the aunt in Lyon"})
    record(db, card)
    head = custody.verify(db)
    erase_text(db, event, "note")
    erase_text(db, event, "item")
    db.expire_all()
    assert (event.said("note"), event.texts["note"].salt) == (None, None)
    assert custody.verify(db) == head


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE custody_event SET event = 'moved'",
        "UPDATE custody_event SET recorded_at = recorded_at",
        "DELETE FROM custody_event",
        "DELETE FROM custody_text",
        "UPDATE custody_text SET text = 'other'",
        "UPDATE custody_text SET text = NULL, salt = NULL, digest = salt",
        "UPDATE custody_text SET text = NULL, salt = NULL, field = 'seal'",
        "UPDATE custody_text SET text = NULL, salt = NULL, event_id = 2",
    ],
)
def test_the_database_refuses_to_change_the_book(db: Session, card: Item, statement: str) -> None:
    record(db, card)
    record(db, card)
    with pytest.raises(StorageError, match="only ever appended to"):
        db.execute(text(statement))


def test_half_an_erasure_is_refused(db: Session, card: Item) -> None:
    record(db, card)
    with pytest.raises(StorageError):
        db.execute(text("UPDATE custody_text SET text = NULL"))


def test_objects_refuse_to_change_the_book(db: Session, card: Item) -> None:
    event = record(db, card)
    event.event = "moved"
    with pytest.raises(StorageError, match="only ever appended to"):
        db.flush()


def test_objects_refuse_to_leave_the_book(db: Session, card: Item) -> None:
    db.delete(record(db, card).texts["item"])
    with pytest.raises(StorageError, match="only ever appended to"):
        db.flush()


def test_objects_refuse_another_text(db: Session, card: Item) -> None:
    record(db, card).texts["item"].text = "card:red"
    with pytest.raises(StorageError, match="only ever appended to"):
        db.flush()


def test_bulk_statements_are_refused_too(db: Session, card: Item) -> None:
    record(db, card)
    with pytest.raises(StorageError, match="only ever appended to"):
        db.execute(update(CustodyEvent).values(event="moved"))
