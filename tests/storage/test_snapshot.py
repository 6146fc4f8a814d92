"""What a transaction on a server brings, and what it asks the server for."""

import threading
from typing import Any, cast

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session, sessionmaker

from storage import chain, custody, labels, postgresql, snapshot, vaults
from storage.bulk import insert_rows
from storage.database import open_database, reading
from storage.errors import StorageError
from storage.model import CustodyEvent, Label, Statement, SyncState, Vault, whole_schema
from storage.prefetched import AGAIN_MAX, TABLES, Rows
from storage.server_dialect import ServerDialect, driven
from tests.patience import SECONDS
from tests.servers.postgresql import Engines
from tests.servers.proxy import Line
from tests.storage.conftest import opened_on
from tests.storage.making import NOW, add_ceremony, add_vault, txid

MORE = (
    "INSERT INTO label (type, ref, label) SELECT 'tx', lpad(n::text, 64, '0'), 'a label'"
    " FROM generate_series(1, 3000) n"
)
"""More labels than are brought at once."""
MANY = MORE.replace("3000", "20000")
"""More than are brought at all."""


def large(db: Session) -> set[str]:
    found = driven(db.connection()).snapshot
    assert found is not None
    return found.large


def test_every_table_is_one_that_is_brought() -> None:
    assert set(TABLES) == set(whole_schema().tables)


def test_what_is_read_costs_one_wait(on_line: sessionmaker[Session], line: Line) -> None:
    with on_line.begin() as db:
        add_vault(db)
    with reading(on_line).begin() as db:
        line.counted()
        (vault,) = vaults.all_vaults(db)
        assert [each.key.label for each in vault.cosigners] == ["key1", "key2", "key3"]
        assert custody.all_events(db) == []
        assert db.get(SyncState, vault.id) is None
    assert line.counted() == 1


def test_what_a_transaction_wrote_it_reads(on_line: sessionmaker[Session], line: Line) -> None:
    with on_line.begin() as db:
        vault = add_vault(db)
        add_ceremony(db, vault, "aaaa2345")
        chain.set_sync_state(db, vault, 7, block_hash="00" * 32, now=NOW)
        assert db.scalar(select(SyncState.height)) == 7
        db.execute(text("UPDATE vault SET name = 'other'"))
        assert db.scalars(select(Vault.name)).all() == ["other"]
        line.counted()
        assert db.scalars(select(Vault.name)).all() == ["other"]
    assert line.counted() == 1  # the commit


def test_changes_wait_for_the_next_message_and_keep_their_order(
    on_line: sessionmaker[Session], line: Line
) -> None:
    with on_line.begin() as db:
        vault = add_vault(db)
        line.counted()
        for height in (5, 6):
            chain.set_sync_state(db, vault, height, block_hash="00" * 32, now=NOW)
        vaults.retire(db, vault, NOW)
        assert line.counted() <= 1
    assert line.counted() == 1
    with reading(on_line).begin() as db:
        assert db.scalars(select(SyncState.height)).all() == [6]
        assert db.scalars(select(Vault.retired_at)).all() == [NOW]


def test_what_the_server_refuses_of_them_fails_the_commit(on_line: sessionmaker[Session]) -> None:
    db = on_line()
    add_vault(db).birthday_height = -1
    db.flush()
    with pytest.raises(StorageError, match="birthday_height_least"):
        db.commit()
    db.close()
    with reading(on_line).begin() as db:
        assert vaults.all_vaults(db) == []


def test_who_wrote_nothing_lets_others_write_at_once(
    on_line: sessionmaker[Session], line: Line, place: URL
) -> None:
    other = open_database(place)
    for number in range(3):
        with on_line.begin() as db:
            vaults.all_vaults(db)
            line.counted()
        assert line.counted() == 0
        with other.begin() as db:
            add_vault(db, f"v{number}", 1 + 3 * number)
    with on_line.begin() as db:
        assert len(vaults.all_vaults(db)) == 3
    other.kw["bind"].dispose()


def test_a_large_table_is_asked_for_at_the_server(
    on_line: sessionmaker[Session], place: URL, on_server: Engines
) -> None:
    on_server.server.run(MANY, str(place.database))
    for database in (on_line, reading(on_line)):
        with database.begin() as db:
            assert db.scalar(select(func.count()).select_from(Label)) == 20_000
            assert large(db) == {"label"}
            assert labels.frozen(db) == set()
            assert db.scalars(select(Label.ref).where(Label.id == 7)).one().endswith("7")


def test_a_reader_of_a_large_table_sees_one_moment(
    on_line: sessionmaker[Session], place: URL, on_server: Engines
) -> None:
    server, name = on_server.server, str(place.database)
    server.run(MANY, name)
    counts = select(func.count()).select_from(Label)
    with on_line.begin() as db:
        db.scalar(counts)  # from now on it is known to be large
    with reading(on_line).begin() as db:
        assert vaults.all_vaults(db) == []
        server.run("DELETE FROM label WHERE id > 10", name)
        assert db.scalar(counts) == 20_000


def test_a_table_that_became_large_since_is_read_whole(
    on_line: sessionmaker[Session], place: URL, on_server: Engines
) -> None:
    with on_line.begin() as db:
        add_vault(db)
    on_server.server.run(MANY, str(place.database))
    with reading(on_line).begin() as db:
        assert db.scalar(select(func.count()).select_from(Label)) == 20_000


def test_a_table_that_becomes_large_while_it_is_brought_is_not_taken_for_empty(
    on_server: Engines,
) -> None:
    place, found = on_server.copy(), list[int | None]()
    database = open_database(place)
    with database.begin() as db:
        add_vault(db)  # what the opening brought is over

    def reads() -> None:
        with reading(database).begin() as db:
            found.append(db.scalar(select(func.count()).select_from(Label)))

    reader = threading.Thread(target=reads)
    with on_server.server.administrator(str(place.database)) as other, other.transaction():
        other.execute("LOCK TABLE address IN ACCESS EXCLUSIVE MODE")  # the first that is brought
        reader.start()
        waiting = "FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        on_server.server.until(f"EXISTS (SELECT {waiting})")
        other.execute(MORE.encode())
    reader.join(SECONDS)
    database.kw["bind"].dispose()
    assert found == [3000]


def test_what_was_on_its_way_when_a_hint_came_is_read_once(
    on_line: sessionmaker[Session], line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring, dialect = snapshot.bring, cast("ServerDialect", on_line.kw["bind"].dialect)

    def hinted(*given: Any, **named: Any) -> list[Rows]:  # noqa: ANN401 -- whatever is given
        found = bring(*given, **named)
        dialect.changed()
        return found

    monkeypatch.setattr(snapshot, "bring", hinted)
    dialect.changed()
    line.counted()
    for _ in range(2):
        with reading(on_line).begin() as db:
            assert vaults.all_vaults(db) == []
        assert line.counted() == 1


@pytest.mark.parametrize("reads", [False, True], ids=["writer", "reader"])
def test_a_larger_table_is_brought_once_it_is_asked_for(
    line: Line, place: URL, on_server: Engines, *, reads: bool
) -> None:
    on_server.server.run(MORE, str(place.database))
    opened = opened_on(line, place, on_server)
    database = reading(opened) if reads else opened
    with opened.begin() as db:
        assert vaults.all_vaults(db) == []  # what the opening brought is over
    with database.begin() as db:
        assert vaults.all_vaults(db) == []
        line.counted()
        assert db.scalar(select(func.count()).select_from(Label)) == 3000
        assert line.counted() == 1
        assert db.scalars(select(Label.ref).where(Label.id == 7)).one().endswith("7")
        assert line.counted() == 0
        assert large(db) == set()
    opened.kw["bind"].dispose()


def test_a_table_that_is_not_small_any_more_comes_with_the_others(
    on_line: sessionmaker[Session], line: Line, place: URL, on_server: Engines
) -> None:
    with on_line.begin() as db:
        add_vault(db)
    on_server.server.run(MORE, str(place.database))
    line.counted()
    for waits in (2, 0):  # once more for what it is now; then the same moment
        with reading(on_line).begin() as db:
            assert db.scalar(select(func.count()).select_from(Label)) == 3000
        assert line.counted() == waits
    with on_line.begin() as db:
        assert db.scalar(select(func.count()).select_from(Label)) == 3000
        assert line.counted() == 1


def test_readers_go_on_with_one_moment_until_something_is_written(
    on_line: sessionmaker[Session], line: Line
) -> None:
    names = select(Vault.name)
    with on_line.begin() as db:
        add_vault(db)
    line.counted()
    for waits in (1, 0):
        with reading(on_line).begin() as db:
            assert db.scalars(names).all() == ["family"]
        assert line.counted() == waits
    with on_line.begin() as db:
        add_vault(db, "other", 4)
        with reading(on_line).begin() as before:
            assert before.scalars(names).all() == ["family"]
    with reading(on_line).begin() as db:
        assert db.scalars(names).all() == ["family", "other"]


def test_a_larger_table_that_is_written_again_and_again_is_left_at_the_server(
    on_line: sessionmaker[Session], place: URL, on_server: Engines
) -> None:
    on_server.server.run(MORE, str(place.database))
    counts = select(func.count()).select_from(Label).where(Label.label == "another")
    with on_line.begin() as db:
        assert db.scalar(counts) == 0
        for number in range(1, 7):
            db.execute(text(f"UPDATE label SET label = 'another' WHERE id = {number}"))  # noqa: S608 -- a number
            assert db.scalar(counts) == number
            assert large(db) == ({"label"} if number > AGAIN_MAX else set())


@pytest.mark.parametrize(
    ("most", "size", "waits"),
    [(2, 1000, 0), (1, 1000, 2), (2, 10, 2)],
    ids=["with the next message", "many: by COPY", "long: by COPY"],
)
def test_many_rows_are_inserted_and_nothing_else_is_brought_again(
    on_line: sessionmaker[Session],
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    size: int,
    waits: int,
) -> None:
    monkeypatch.setattr(postgresql, "MESSAGE_MAX", size)
    rows = [{"type": "tx", "ref": txid(number), "label": "100 %s; '"} for number in range(2)]
    with on_line.begin() as db:
        assert vaults.all_vaults(db) == []
        line.counted()
        insert_rows(db.connection(), whole_schema().tables["label"], rows, most=most)
        assert line.counted() == waits
        assert vaults.all_vaults(db) == []
        assert line.counted() == 0
        assert db.scalars(select(Label.label)).all() == ["100 %s; '"] * 2
        assert line.counted() == 1


def test_what_may_not_be_read_is_refused_where_it_is_asked_for(
    on_server: Engines, place: URL
) -> None:
    server, name = on_server.server, f"{place.database}_half"
    server.run(f"CREATE ROLE {name} LOGIN PASSWORD '{server.password}'")
    for table in ("alembic_version", "vault", "cosigner", "key", "carrier", "item", "ceremony"):
        server.run(f"GRANT SELECT ON {table} TO {name}", str(place.database))
    opened = open_database(server.url(str(place.database), name), existing=True)
    with opened.begin() as db:
        assert db.scalars(select(Vault.name)).all() == []
    with pytest.raises(StorageError, match="custody_event"), opened.begin() as db:
        db.scalars(select(CustodyEvent.id)).all()
    opened.kw["bind"].dispose()


def test_a_moment_of_the_opening_is_over_once_this_program_writes(
    on_line: sessionmaker[Session], place: URL
) -> None:
    other, names = open_database(place), select(Vault.name)
    with other.begin() as db:
        add_vault(db)
    with reading(on_line).begin() as db:
        assert db.scalars(names).all() == []
    with on_line.begin() as db:
        assert db.scalars(names).all() == ["family"]
    with reading(on_line).begin() as db:
        assert db.scalars(names).all() == ["family"]
    other.kw["bind"].dispose()


def test_the_tables_of_a_statement_are_those_it_brings_along() -> None:
    events = select(CustodyEvent).where(CustodyEvent.id.in_(select(func.max(Statement.id))))
    assert snapshot.tables_of(events) == {
        *("custody_event", "item", "location", "holder", "statement")
    }
    assert snapshot.tables_of(select(Vault.name)) == {"vault"}
    inner = select(Label.ref).subquery()
    assert snapshot.tables_of(select(func.count()).select_from(inner)) == {"label"}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (b"2026-03-01 12:30:15.12+00", "2026-03-01 12:30:15.120000"),
        (b"2026-03-01 12:30:15+00", "2026-03-01 12:30:15.000000"),
        (b"infinity", "infinity"),
        (b"0044-03-15 00:00:00+00 BC", "0044-03-15 00:00:00+00 BC"),
    ],
)
def test_a_moment_is_written_as_sqlite_keeps_it(told: bytes, kept: str) -> None:
    assert snapshot.Moment(0).load(told) == kept
