"""Homes made while the first version of the database still grew."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from storage.database import VERSIONS, open_database
from storage.migrations.versions.v0006_early_homes import WIDENED
from storage.model import Record
from storage.model.cards import CREATED_ON, ITEM_KINDS
from tests.storage.test_migrations import constraints

SINCE = "DROP TABLE secret_written_at; DROP TABLE secret_known_by; DROP TABLE card_secret;"
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
LATER = """
DROP TABLE label; DROP TABLE chain_event; DROP TABLE scan; DROP TABLE node_rules;
ALTER TABLE key DROP COLUMN made_at; ALTER TABLE ceremony DROP COLUMN opened_on;
ALTER TABLE verification DROP COLUMN policy_digest;
UPDATE alembic_version SET version_num = '0005';
"""
"""Takes back what versions after the sixth made."""
KEY = (
    "INSERT INTO key VALUES (7, 'old', 'regtest', x'01020304', '48h', zeroblob(33), zeroblob(32), "
    "4, x'00000000', 2, 'host', '2026-01-01 00:00:00')"
)
ITEM = "INSERT INTO item VALUES (3, 'card', 'old', '2026-01-01 00:00:00', NULL)"
CARRIER = "INSERT INTO carrier VALUES (5, 7, 3, '2026-01-01 00:00:00', NULL)"
CARD = (
    "INSERT INTO card (id, label, family, card_id, version, emulated, item_id, attestation, "
    "attestation_reason, attested_at, enrolled_at) VALUES (1, 'old', 'satochip', 'ab', '0.12', 0, "
    "3, 'test', '', '2026-01-01 00:00:00', '2026-01-01 00:00:00')"
)


@pytest.fixture
def early(path: Path) -> Path:
    """A home of the first day: narrow origins and kinds, no siblings, no secrets' custody."""
    open_database(f"sqlite:///{path}").kw["bind"].dispose()
    with sqlite3.connect(path) as raw:
        raw.executescript(SINCE)
        raw.execute("PRAGMA writable_schema=ON")
        narrowed = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ?"
        for table, (narrow, wide) in WIDENED.items():
            raw.execute(narrowed, (wide, narrow, table))
        for part in (
            "siblings INTEGER NOT NULL, ",
            "CONSTRAINT ck_card_siblings_least CHECK (siblings >= 0), ",
        ):
            raw.execute(narrowed, (f"{part}\n\t", "", "card"))
        raw.executescript(LATER)
    raw.close()
    with sqlite3.connect(path) as raw:
        for row in (KEY, ITEM, CARRIER, CARD):
            raw.execute(row)
        with pytest.raises(sqlite3.IntegrityError, match="created_on"):
            raw.execute("UPDATE key SET created_on = 'unknown'")
        with pytest.raises(sqlite3.IntegrityError, match="kind"):
            raw.execute("UPDATE item SET kind = 'backup-file'")
    raw.close()
    return path


def test_an_early_home_becomes_what_the_model_says(early: Path) -> None:
    database = open_database(f"sqlite:///{early}")
    modelled = create_engine("sqlite://")
    Record.metadata.create_all(modelled)
    assert constraints(database.kw["bind"]) == constraints(modelled)
    modelled.dispose()
    database.kw["bind"].dispose()


def test_an_early_home_keeps_its_rows_and_takes_every_word(early: Path) -> None:
    open_database(f"sqlite:///{early}").kw["bind"].dispose()
    with sqlite3.connect(early) as raw:
        raw.execute("PRAGMA foreign_keys=ON")
        assert raw.execute("SELECT label, created_on FROM key").fetchall() == [("old", "host")]
        assert raw.execute("SELECT siblings FROM card").fetchall() == [(0,)]
        assert raw.execute("SELECT key_id, item_id FROM carrier").fetchall() == [(7, 3)]
        for origin in CREATED_ON:
            raw.execute("UPDATE key SET created_on = ?", (origin,))
        for kind in ITEM_KINDS:
            raw.execute("UPDATE item SET kind = ?", (kind,))
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            raw.execute("DELETE FROM key")
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [
            (VERSIONS[-1],)
        ]
    raw.close()


def test_a_later_home_is_left_as_it_is(path: Path) -> None:
    open_database(f"sqlite:///{path}").kw["bind"].dispose()
    with sqlite3.connect(path) as raw:
        before = raw.execute(SCHEMA).fetchall()
        raw.executescript(LATER)
    raw.close()
    open_database(f"sqlite:///{path}").kw["bind"].dispose()
    with sqlite3.connect(path) as raw:
        assert raw.execute(SCHEMA).fetchall() == before
    raw.close()
