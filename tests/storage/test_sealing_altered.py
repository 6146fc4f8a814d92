"""What is sealed, changed behind the program's back."""

import pytest
from sqlalchemy import select, text, update

from storage import custody, sealing
from storage.encryption import seal
from storage.errors import ChainBroken, SealBroken, StorageError
from storage.model import CustodyText, Holder, Location, Seal
from tests.storage.making import erase_text
from tests.storage.sealed import CHEAP, PASSPHRASE, Database


@pytest.mark.parametrize(
    ("table", "one", "other"),
    [
        ("location", "id = 1", "id = 2"),
        ("custody_text", "event_id = 1 AND field = 'note'", "event_id = 1 AND field = 'by'"),
        ("custody_text", "event_id = 1 AND field = 'note'", "event_id = 3 AND field = 'note'"),
    ],
)
def test_sealed_fields_put_into_each_others_rows_are_refused(
    opened: Database, table: str, one: str, other: str
) -> None:
    with opened.begin() as db:
        db.execute(text("DROP TRIGGER custody_text_only_erased"))
        taken = (
            f"UPDATE {table} SET sealed = (SELECT sealed FROM {table} WHERE {other}) WHERE {one}"  # noqa: S608 -- our own names
        )
        assert db.execute(text(taken)).rowcount == 1
    look = custody.all_locations if table == "location" else custody.all_events
    with pytest.raises(SealBroken), opened.begin() as db:
        look(db)
    opened.configure(info={})
    with opened.begin() as db:
        assert custody.verify(db)


@pytest.mark.parametrize("where", [0, 1, 33, -1])
def test_a_changed_byte_of_a_sealed_row_is_refused(opened: Database, where: int) -> None:
    with opened.begin() as db:
        changed = bytearray(db.scalars(select(Holder.sealed)).one() or b"")
        changed[where] ^= 1
        db.execute(update(Holder).values(sealed=bytes(changed)))
    with pytest.raises(SealBroken) as refused, opened.begin() as db:
        custody.all_holders(db)
    assert refused.value.what == "holder 1"


def test_a_forged_text_breaks_the_chain_and_is_not_unsealed(opened: Database) -> None:
    """Anybody may seal a row, but what an event says is hashed."""
    with opened.begin() as db:
        db.execute(text("DROP TRIGGER custody_text_only_erased"))
        key = db.scalars(select(Seal.sealing_key)).one()
        forged = seal(key, "note of event 1", {"text": "elsewhere", "salt": bytes(32)})
        note = (CustodyText.event_id == 1) & (CustodyText.field == "note")
        db.execute(update(CustodyText.__table__).where(note).values(sealed=forged))
    with pytest.raises(ChainBroken), opened.begin() as db:
        custody.verify(db)
    with pytest.raises(SealBroken):
        sealing.unseal_all(opened)


@pytest.mark.parametrize(
    "change",
    [
        "text = 'other'",
        "sealed = x'00'",
        "sealed = NULL, text = NULL, digest = x'00'",
        "field = 'by', sealed = NULL",
    ],
)
def test_a_sealed_text_is_erased_or_unsealed_and_nothing_else(
    sealed: Database, change: str
) -> None:
    where = "WHERE event_id = 3 AND field = 'note'"
    with pytest.raises(StorageError, match="appended"), sealed.begin() as db:
        db.execute(text(f"UPDATE custody_text SET {change} {where}"))  # noqa: S608 -- our own names


def test_a_plain_text_of_a_sealed_home_is_not_changed_either(sealed: Database) -> None:
    change = "UPDATE custody_text SET text = 'B 18' WHERE field = 'seal'"
    with pytest.raises(StorageError, match="appended"), sealed.begin() as db:
        db.execute(text(change))


def test_the_mapper_refuses_another_sealed_text(opened: Database) -> None:
    with opened.begin() as db:
        note = custody.all_events(db)[0].texts["note"]
        note.text = note.salt = None
        note.sealed = b"another"
        with pytest.raises(StorageError, match=r"^the custody book is only"):
            db.flush()
        db.rollback()


@pytest.mark.parametrize("extra", [{"access": None, "kind": "office"}, {}])
def test_a_forged_row_says_what_a_row_says_or_nothing(
    opened: Database, extra: dict[str, str]
) -> None:
    with opened.begin() as db:
        key = db.scalars(select(Seal.sealing_key)).one()
        forged = seal(key, "location 1", {"name": "x", "region": None, **extra})
        db.execute(update(Location).where(Location.id == 1).values(sealed=forged))
    with pytest.raises(SealBroken), opened.begin() as db:
        custody.all_locations(db)


@pytest.mark.parametrize("reading", [True, False])
def test_a_sealed_text_can_be_erased(sealed: Database, *, reading: bool) -> None:
    if reading:
        sealing.unlock(sealed, PASSPHRASE)
    with sealed.begin() as db:
        erase_text(db, custody.all_events(db)[0], "note")
    sealing.unlock(sealed, PASSPHRASE)
    with sealed.begin() as db:
        first = custody.all_events(db)[0]
        assert (first.said("note"), first.said("by")) == (None, "moved-by-me")
        assert first.texts["note"].sealed is None
        assert custody.verify(db)
    sealing.unseal_all(sealed)


def test_an_erased_text_stays_erased_through_sealing(home: Database) -> None:
    with home.begin() as db:
        erase_text(db, custody.all_events(db)[0], "note")
    sealing.seal_all(home, PASSPHRASE, CHEAP)
    sealing.unlock(home, PASSPHRASE)
    sealing.unseal_all(home)
    with home.begin() as db:
        assert custody.all_events(db)[0].said("note") is None
