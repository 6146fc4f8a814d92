import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from storage import custody, vaults
from storage.database import VERSIONS, open_database, reading
from storage.errors import NotFound, SchemaTooNew, StorageError
from storage.model import Cosigner, Holder, SyncState, Vault
from tests.storage.making import NOW, add_vault

Database = sessionmaker[Session]


def close(database: Database) -> None:
    database.kw["bind"].dispose()


def test_nobody_else_may_read_the_file(on_file: Database, path: Path) -> None:
    with on_file.begin() as db:
        add_vault(db)
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert modes.keys() >= {"home.db", "home.db-wal"}
    assert set(modes.values()) == {0o600}


def test_the_file_is_never_open_to_others_not_even_at_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    close(open_database(f"sqlite:///{path}"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_others_may_read_is_tightened(path: Path) -> None:
    close(open_database(f"sqlite:///{path}"))
    path.chmod(0o644)
    close(open_database(f"sqlite:///{path}"))
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("foreign_keys", 1), ("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 10_000)],
)
def test_every_connection_is_prepared(on_file: Database, pragma: str, value: object) -> None:
    with on_file() as one, on_file() as other:
        assert one.scalar(text(f"PRAGMA {pragma}")) == value
        one.commit()
        assert other.scalar(text(f"PRAGMA {pragma}")) == value


def test_what_was_committed_is_there_after_reopening(path: Path) -> None:
    first = open_database(f"sqlite:///{path}")
    with first.begin() as db:
        add_vault(db)
    close(first)
    again = open_database(f"sqlite:///{path}")
    with again.begin() as db:
        assert vaults.vault_named(db, "family").cosigners[2].key.label == "key3"
    close(again)


def test_a_failure_rolls_everything_back(on_file: Database) -> None:
    def fail() -> None:
        with on_file.begin() as db:
            add_vault(db)
            vaults.vault_named(db, "nobody")

    with pytest.raises(NotFound):
        fail()
    with on_file.begin() as db:
        assert vaults.all_vaults(db) == []


def test_rows_stay_readable_after_their_transaction(on_file: Database) -> None:
    with on_file.begin() as db:
        add_vault(db)
    with on_file.begin() as db:
        vault = vaults.vault_named(db, "family")
    assert [cosigner.key.fingerprint for cosigner in vault.cosigners] == [
        bytes([0, 0, 0, number]) for number in (1, 2, 3)
    ]


def test_what_refers_to_nothing_is_refused(db: Session) -> None:
    db.add(SyncState(vault_id=7, height=1, block_hash="00", synced_at=NOW))
    with pytest.raises(StorageError, match=r"(?i)foreign key constraint"):
        db.flush()


def test_a_refusal_never_tells_what_was_to_be_stored(db: Session) -> None:
    db.add(Holder(name="aunt", limit_sats=-1, contact="+33 1 23 45"))
    with pytest.raises(StorageError) as refused:
        db.flush()
    told: BaseException | None = refused.value
    while told is not None:
        assert "+33" not in str(told) + repr(told)
        told = told.__cause__ or told.__context__


def test_a_log_of_statements_never_tells_what_is_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    database = open_database("sqlite://")
    with database.begin() as db:
        custody.add_holder(db, "aunt", None, contact="+33 1 23 45")
    close(database)
    assert "INSERT INTO holder" in caplog.text
    assert "+33" not in caplog.text


def test_only_this_program_begins_transactions(on_file: Database) -> None:
    with on_file.begin() as db:
        driver = db.connection().connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        assert driver.isolation_level is None


def test_the_cosigners_of_a_vault_are_in_their_order(db: Session) -> None:
    vault = add_vault(db)
    vault.cosigners[0].position = 14
    db.flush()
    db.expire_all()
    assert [cosigner.position for cosigner in vault.cosigners] == [1, 2, 14]
    assert isinstance(vault.cosigners[0], Cosigner)


@pytest.mark.parametrize("hours", [-5, 0, 9])
def test_moments_come_back_as_utc(db: Session, hours: int) -> None:
    vault = add_vault(db)
    moment = NOW.astimezone(timezone(timedelta(hours=hours)))
    vaults.retire(db, vault, moment)
    db.flush()
    db.expire_all()
    assert vault.retired_at == moment
    assert vault.retired_at.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused(db: Session) -> None:
    vault = add_vault(db)
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 -- what is refused
    with pytest.raises(ValueError, match="has no time zone"):
        vaults.retire(db, vault, naive)


def test_the_same_moment_compares_in_any_zone(db: Session) -> None:
    vault = add_vault(db)
    vaults.retire(db, vault, NOW)
    elsewhere = (NOW + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=-11)))
    assert db.scalars(select(Vault.name).where(Vault.retired_at < elsewhere)).all() == ["family"]
    assert db.scalars(select(Vault.name).where(Vault.retired_at > elsewhere)).all() == []


def wreck(path: Path) -> None:
    close(open_database(f"sqlite:///{path}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.write_bytes(b"no database" * 500), "file is not a database"),
        (wreck, "malformed"),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
    ids=["other file", "wrecked pages", "folder"],
)
def test_what_is_no_database_is_named(
    path: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(path)
    with pytest.raises(StorageError, match=sentence) as refused:
        close(open_database(f"sqlite:///{path}"))
    assert str(path) in str(refused.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere/home.db cannot be opened: No such file"):
        open_database(f"sqlite:///{tmp_path}/nowhere/home.db")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("home.db", "URL cannot be used: Could not parse"),
        ("nobody://host/home", "URL cannot be used: Can't load plugin"),
        (
            "postgresql+nodriver://host/home",
            r"URL begins postgresql\+nodriver://; it is postgresql",
        ),
    ],
)
def test_a_url_that_means_nothing_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(StorageError, match=sentence):
        open_database(url)


def test_a_database_of_a_newer_program_is_left_alone(path: Path) -> None:
    close(open_database(f"sqlite:///{path}"))
    _execute(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew) as refused:
        open_database(f"sqlite:///{path}")
    assert (refused.value.found, refused.value.known) == ("9999", VERSIONS[-1])
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    _execute(path, "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StorageError, match="belongs to another program"):
        open_database(f"sqlite:///{path}")


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def test_writers_wait_for_each_other(on_file: Database) -> None:
    entered, order = threading.Event(), []

    def second() -> None:
        entered.wait()
        with on_file.begin() as db:
            custody.add_holder(db, "second", None, contact=None)
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with on_file.begin() as db:
        custody.add_holder(db, "first", None, contact=None)
        entered.set()
        thread.join(timeout=0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    with on_file.begin() as db:
        assert [holder.name for holder in custody.all_holders(db)] == ["first", "second"]


KILLED = """
import os, signal, sys
from sqlalchemy import text
from storage.custody import add_holder
from storage.database import open_database

MANY = '''
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 20000)
    INSERT INTO holder (name, contact) SELECT 'lost' || n, hex(zeroblob(400)) FROM number
'''
database = open_database(sys.argv[1])
with database.begin() as db:
    add_holder(db, "kept", None, contact=None)
with database.begin() as db:
    add_holder(db, "lost", None, contact=None)
    db.execute(text(MANY))  # more than is kept in memory: it reaches the disk
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_only_the_transaction_in_flight(path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, f"sqlite:///{path}"], check=False)
    assert killed.returncode == -signal.SIGKILL
    database = open_database(f"sqlite:///{path}")
    with database.begin() as db:
        assert [holder.name for holder in custody.all_holders(db)] == ["kept"]
    close(database)


def test_processes_may_open_a_new_database_at_once(path: Path) -> None:
    program = "import sys; from storage.database import open_database; open_database(sys.argv[1])"
    started = [
        subprocess.Popen([sys.executable, "-c", program, f"sqlite:///{path}"]) for _ in range(3)
    ]
    assert [process.wait() for process in started] == [0, 0, 0]
    close(open_database(f"sqlite:///{path}"))


@pytest.mark.parametrize("value", ["half a character \ud83d", 2**63], ids=["text", "number"])
def test_what_no_column_holds_is_a_refusal(value: object, database: Database) -> None:
    name, limit = (value, None) if isinstance(value, str) else ("aunt", value)
    with pytest.raises(StorageError, match="refused"), database.begin() as db:
        db.add(Holder(name=name, limit_sats=limit))


def test_who_reads_keeps_nobody_from_writing(path: Path) -> None:
    database = open_database(f"sqlite:///{path}")
    with reading(database).begin() as reader, closing(sqlite3.connect(path, timeout=0)) as other:
        assert reader.scalar(text("SELECT count(*) FROM vault")) == 0
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
    with database.begin() as writer, closing(sqlite3.connect(path, timeout=0)) as other:
        writer.scalar(text("SELECT count(*) FROM vault"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    database.kw["bind"].dispose()
