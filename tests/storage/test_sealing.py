"""Places and people under a passphrase: who reads them, what is left in the file."""

from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import sessionmaker

from storage import cards, custody, sealing
from storage.database import PRAGMAS
from storage.errors import (
    AlreadyExists,
    NotFound,
    PassphraseIncorrect,
    SealBroken,
    SealLocked,
    StorageError,
)
from storage.model import Location, Seal
from tests.storage.sealed import (
    CHEAP,
    PASSPHRASE,
    SECRETS,
    Database,
    found_in,
    happen,
    place,
    raw_bytes,
    seen,
)


@pytest.mark.usefixtures("home")
def test_a_plain_file_is_full_of_names(tmp_path: Path) -> None:
    assert found_in(tmp_path) == list(SECRETS)


def test_sealing_leaves_no_plain_text_in_any_file(sealed: Database, tmp_path: Path) -> None:
    assert found_in(tmp_path) == []
    sealing.unlock(sealed, PASSPHRASE)
    assert seen(sealed)
    assert found_in(tmp_path) == []


def test_without_the_passphrase_there_are_stand_ins(sealed: Database) -> None:
    places, people, texts = seen(sealed)
    assert [each[1] for each in places] == [f"location.{n}" for n in range(1, 5)]
    regions = [each[2] for each in places]
    assert regions[0] == regions[1] != regions[2]
    assert regions[0].startswith("region.")
    assert regions[3] is None
    assert {each[3] for each in places} == {None}
    assert people == [(1, "holder.1", None, 5)]
    assert places[0][4] == "holder.1"
    assert texts[0] == {
        "item": "card:blue",
        "location": None,
        "by": None,
        "note": None,
        "seal": "B 17",
    }
    assert seen(sealed) == [places, people, texts]


def test_with_the_passphrase_everything_reads_as_before(home: Database) -> None:
    before = seen(home)
    sealing.seal_all(home, PASSPHRASE, CHEAP)
    assert seen(home) != before
    sealing.unlock(home, PASSPHRASE)
    assert seen(home) == before


def test_unsealing_brings_the_plain_rows_back(home: Database) -> None:
    before = seen(home)
    sealing.seal_all(home, PASSPHRASE, CHEAP)
    with pytest.raises(SealLocked):
        sealing.unseal_all(home)
    sealing.unlock(home, PASSPHRASE)
    sealing.unseal_all(home)
    assert seen(home) == before
    with home.begin() as db:
        assert not sealing.is_sealed(db)
        assert sealing.is_scrubbed(db)
        assert db.scalars(select(Location.sealed)).all() == [None] * 4
        assert custody.verify(db)


def test_the_seal_of_another_time_opens_nothing(opened: Database) -> None:
    stale = sessionmaker(opened.kw["bind"], info=opened.kw["info"])
    sealing.unseal_all(opened)
    sealing.seal_all(opened, PASSPHRASE, CHEAP)
    with pytest.raises(SealBroken), stale.begin() as db:
        custody.all_locations(db)
    with opened.begin() as db:
        assert custody.all_locations(db)[0].name == "location.1"


@pytest.mark.parametrize("wrong", [b"", b"correct horse batter", b"Correct horse battery"])
def test_a_wrong_passphrase_opens_nothing(sealed: Database, wrong: bytes) -> None:
    with pytest.raises(PassphraseIncorrect):
        sealing.unlock(sealed, wrong)
    with sealed.begin() as db:
        assert sealing.is_locked(db)


def test_another_passphrase_and_the_old_one_no_more(opened: Database, tmp_path: Path) -> None:
    with opened.begin() as db:
        old = db.scalars(select(Seal.opening_key)).one()
        sealed = db.scalars(select(Location.sealed)).all()
    assert old in raw_bytes(tmp_path)
    sealing.change_passphrase(opened, b"another one", CHEAP)
    assert old not in raw_bytes(tmp_path)
    with pytest.raises(PassphraseIncorrect):
        sealing.unlock(opened, PASSPHRASE)
    sealing.unlock(opened, b"another one")
    assert "aunt-mathilde" in str(seen(opened))
    with opened.begin() as db:
        assert db.scalars(select(Location.sealed)).all() == sealed


def test_changing_the_passphrase_needs_the_old_one(sealed: Database) -> None:
    with pytest.raises(SealLocked):
        sealing.change_passphrase(sealed, b"another one", CHEAP)


def test_what_is_written_while_open_is_sealed(opened: Database, tmp_path: Path) -> None:
    with opened.begin() as db:
        uncle = custody.add_holder(db, "uncle-theodule", None, contact="+41-22")
        cabin = place(db, "cabin-in-the-jura", "jura", uncle, "ask-the-miller")
        assert (cabin.name, cabin.region, uncle.contact) == ("cabin-in-the-jura", "jura", "+41-22")
        event = happen(db, cards.card_named(db, "blue").item, "cabin-in-the-jura", note="in-a-tin")
        assert event.said("note") == "in-a-tin"
    with opened.begin() as db:
        assert custody.location_named(db, "cabin-in-the-jura").access == "ask-the-miller"
        assert custody.all_events(db)[-1].said("note") == "in-a-tin"
        assert custody.verify(db)
    opened.configure(info={})
    raw = raw_bytes(tmp_path)
    for word in (b"uncle-theodule", b"+41-22", b"cabin-in", b"the-miller", b"in-a-tin"):
        assert word not in raw
    places = seen(opened)[0]
    assert places[4][2] == places[2][2], "one region, one stand-in"


def test_an_event_is_written_without_the_passphrase(sealed: Database, tmp_path: Path) -> None:
    with sealed.begin() as db:
        blue = cards.card_named(db, "blue").item
        event = happen(
            db, blue, "location.3", note="on-the-third-shelf", by="the-neighbour", seal="B 18"
        )
        assert event.said("note") is None
        assert (event.said("seal"), event.said("item")) == ("B 18", "card:blue")
        assert event.location.name == "location.3"
    assert b"on-the-third-shelf" not in raw_bytes(tmp_path)
    with sealed.begin() as db:
        assert custody.verify(db)
    sealing.unlock(sealed, PASSPHRASE)
    with sealed.begin() as db:
        last = custody.all_events(db)[-1]
        assert (last.said("note"), last.said("by")) == ("on-the-third-shelf", "the-neighbour")
        assert last.location.name == "office"
        assert custody.verify(db)


def test_names_are_not_found_nor_added_without_the_passphrase(sealed: Database) -> None:
    with sealed.begin() as db:
        assert custody.location_named(db, "location.2").id == 2
        assert custody.holder_named(db, "holder.1").id == 1
        for name in ("attic", "location.9"):
            with pytest.raises(SealLocked):
                custody.location_named(db, name)
        with pytest.raises(SealLocked):
            custody.holder_named(db, "aunt-mathilde")
        with pytest.raises(SealLocked):
            place(db, "attic", None)
        with pytest.raises(SealLocked):
            custody.add_holder(db, "new", None, contact=None)


def test_two_of_one_name_stay_impossible(opened: Database) -> None:
    with opened.begin() as db:
        assert custody.location_named(db, "location.2").name == "attic"
        with pytest.raises(NotFound):
            custody.location_named(db, "nowhere")
        with pytest.raises(AlreadyExists):
            place(db, "attic", None)
        with pytest.raises(AlreadyExists):
            custody.add_holder(db, "aunt-mathilde", None, contact=None)


def test_a_changed_name_is_sealed_anew_and_a_changed_number_does_not(opened: Database) -> None:
    with opened.begin() as db:
        attic = custody.location_named(db, "attic")
        before = attic.sealed
        attic.lead_hours = 9
        db.flush()
        assert (attic.sealed, attic.name) == (before, "attic")
        attic.region = "savoie"
        db.flush()
        assert attic.sealed != before
        assert (attic.name, attic.region) == ("attic", "savoie")
        db.refresh(attic)
        assert (attic.name, attic.region) == ("attic", "savoie")
        stored = db.execute(text("SELECT name, region FROM location WHERE id = 2")).one()
        assert stored.name == "location.2"
        assert stored.region.startswith("region.")
    opened.configure(info={})
    with opened.begin() as db:
        attic = custody.location_named(db, "location.2")
        attic.lead_hours = 8
        db.flush()
        attic.access = "a plain word"
        with pytest.raises(SealLocked):
            db.flush()
        db.rollback()


def test_the_chain_holds_sealed_and_open(home: Database) -> None:
    with home.begin() as db:
        head = custody.verify(db)
        assert custody.count_unread(db) == 0
    sealing.seal_all(home, PASSPHRASE, CHEAP)
    with home.begin() as db:
        assert custody.verify(db) == head
        assert custody.count_unread(db) == 5
    sealing.unlock(home, PASSPHRASE)
    with home.begin() as db:
        assert custody.verify(db) == head
        assert custody.count_unread(db) == 0


def test_a_busy_log_is_told_and_finished_by_a_second_run(
    home: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = [each for each in PRAGMAS if "timeout" not in each]
    monkeypatch.setattr("storage.database.PRAGMAS", (*impatient, "busy_timeout=10"))
    home.kw["bind"].dispose()
    with home() as reader:
        connection = reader.connection().connection
        connection.execute("COMMIT").close()
        connection.execute("BEGIN").close()
        connection.execute("SELECT * FROM location").fetchall()
        with pytest.raises(StorageError, match="free pages"):
            sealing.seal_all(home, PASSPHRASE, CHEAP)
        connection.execute("COMMIT").close()
    with home.begin() as db:
        assert not sealing.is_scrubbed(db)
    sealing.seal_all(home, b"this one is not used")
    assert found_in(tmp_path) == []
    with home.begin() as db:
        assert sealing.is_scrubbed(db)
    sealing.unlock(home, PASSPHRASE)


def freed(database: Database) -> None:
    """Write long texts and take them away again, as far as the file's log."""
    with database.begin() as db:
        aunt = custody.holder_named(db, "aunt-mathilde")
        aunt.contact = "beyond-the-mill " * 2000
    with database.begin() as db:
        custody.holder_named(db, "aunt-mathilde").contact = None
    with database.kw["bind"].connect() as connection:
        connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def test_what_is_taken_away_leaves_the_file(home: Database, tmp_path: Path) -> None:
    freed(home)
    assert b"beyond-the-mill" not in raw_bytes(tmp_path)


def test_free_pages_of_earlier_programs_are_scrubbed(
    home: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless = [each for each in PRAGMAS if "secure" not in each]
    monkeypatch.setattr("storage.database.PRAGMAS", (*careless, "secure_delete=OFF"))
    home.kw["bind"].dispose()
    freed(home)
    assert b"beyond-the-mill" in raw_bytes(tmp_path)
    sealing.seal_all(home, PASSPHRASE, CHEAP)
    assert b"beyond-the-mill" not in raw_bytes(tmp_path)


def test_a_home_without_places_is_sealed_too(on_file: Database) -> None:
    sealing.seal_all(on_file, PASSPHRASE, CHEAP)
    with pytest.raises(SealLocked), on_file.begin() as db:
        custody.add_holder(db, "aunt", None, contact=None)
    sealing.unlock(on_file, PASSPHRASE)
    with on_file.begin() as db:
        assert custody.add_holder(db, "aunt", None, contact=None).name == "aunt"
    on_file.configure(info={})
    with on_file.begin() as db:
        assert custody.all_holders(db)[0].name == "holder.1"
