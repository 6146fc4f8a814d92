"""A database from elsewhere is made of our tables, indexes and triggers alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from storage.database import VERSIONS, open_database
from storage.errors import SchemaTooNew, StorageError
from storage.integrity import require_own_schema
from storage.migrations import upgrade
from tests.sampled import shortened


@pytest.fixture
def ours(path: Path) -> Path:
    open_database(f"sqlite:///{path}").kw["bind"].dispose()
    return path


def change(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize("version", shortened(VERSIONS, *VERSIONS[::4], VERSIONS[-1]))
def test_every_version_of_ours_is_ours(path: Path, version: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, version)
    engine.dispose()
    require_own_schema(path)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "CREATE TRIGGER evil AFTER INSERT ON label BEGIN DELETE FROM label; END",
            "holds a trigger 'evil'",
        ),
        ("CREATE VIEW evil AS SELECT * FROM card", "holds a view 'evil'"),
        ("CREATE TABLE evil (x)", "holds a table 'evil'"),
        ("CREATE VIRTUAL TABLE evil USING fts5(x)", "holds a table 'evil"),
        ("CREATE INDEX evil ON label (lower(label))", "holds a index 'evil'"),
        ("ALTER TABLE label ADD COLUMN evil TEXT", "has a table 'label'"),
        ("ALTER TABLE label ADD COLUMN evil AS (1) VIRTUAL", "has a table 'label'"),
        ("DROP TABLE label", "lacks the"),
        (
            "ALTER TABLE label RENAME TO x; CREATE VIEW label AS SELECT * FROM x",
            "holds a table 'x'|lacks the|holds a view",
        ),
    ],
)
def test_what_is_not_ours_is_named(ours: Path, script: str, told: str) -> None:
    change(ours, script)
    with pytest.raises(StorageError, match=told):
        require_own_schema(ours)


def test_a_trigger_of_ours_that_is_gone_or_does_nothing_is_named(ours: Path) -> None:
    with closing(sqlite3.connect(ours)) as connection:
        name, table = connection.execute(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' LIMIT 1"
        ).fetchone()
    change(ours, f"DROP TRIGGER {name}")
    with pytest.raises(StorageError, match=f"lacks the trigger '{name}'"):
        require_own_schema(ours)
    change(ours, f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} BEGIN SELECT 1; END")
    with pytest.raises(StorageError, match=f"has a trigger '{name}'"):
        require_own_schema(ours)


def test_another_programs_database_is_refused(path: Path) -> None:
    change(path, "CREATE TABLE other (x)")
    with pytest.raises(StorageError, match="belongs to another program"):
        require_own_schema(path)
    change(
        path, "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES(1)"
    )
    with pytest.raises(StorageError, match="belongs to another program"):
        require_own_schema(path)


def test_a_database_of_a_newer_program_is_refused(ours: Path) -> None:
    change(ours, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew):
        require_own_schema(ours)
