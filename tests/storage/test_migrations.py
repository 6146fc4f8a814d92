import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.orm import Session, sessionmaker

from storage.database import VERSIONS, open_database
from storage.model import Record


def test_the_program_knows_every_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert [each.revision for each in scripts.walk_revisions()][::-1] == list(VERSIONS)


def test_the_migrations_make_what_the_model_says(database: sessionmaker[Session]) -> None:
    with database.kw["bind"].connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Record.metadata) == []


def test_the_migrations_make_every_constraint_of_the_model(
    database: sessionmaker[Session],
) -> None:
    modelled = create_engine("sqlite://")
    Record.metadata.create_all(modelled)
    assert constraints(database.kw["bind"]) == constraints(modelled)
    modelled.dispose()


def constraints(engine: Engine) -> dict[str, Any]:
    """What compare_metadata does not look at."""
    seen = inspect(engine)
    return {
        table: (
            sorted((c["name"], c["sqltext"]) for c in seen.get_check_constraints(table)),
            sorted(
                (i["name"], i["unique"], str(i.get("dialect_options", {}).get("sqlite_where")))
                for i in seen.get_indexes(table)
            ),
            sorted((u["name"], *u["column_names"]) for u in seen.get_unique_constraints(table)),
            sorted((f["name"], f["referred_table"]) for f in seen.get_foreign_keys(table)),
        )
        for table in Record.metadata.tables
    }


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from storage.database import open_database

@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

open_database(sys.argv[1])
"""


@pytest.mark.parametrize("point", ["CREATE TABLE ceremony", "INSERT INTO alembic_version"])
def test_a_kill_in_a_migration_leaves_the_file_as_it_was(path: Path, point: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, f"sqlite:///{path}", point], check=False)
    assert killed.returncode == -signal.SIGKILL
    untouched = create_engine(f"sqlite:///{path}")
    assert inspect(untouched).get_table_names() == []
    untouched.dispose()
    healed = open_database(f"sqlite:///{path}")
    assert len(inspect(healed.kw["bind"]).get_table_names()) == len(Record.metadata.tables) + 1
    healed.kw["bind"].dispose()


def test_a_migration_that_would_orphan_rows_is_taken_back(path: Path) -> None:
    program = """
import sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from storage.database import open_database
from storage.errors import StorageError

@event.listens_for(Engine, "before_cursor_execute")
def orphan(connection, cursor, statement, *rest):
    if "foreign_key_check" in statement:
        cursor.execute("INSERT INTO sync_state VALUES (7, 1, '00', '2026-01-01 00:00:00')")

try:
    open_database(sys.argv[1])
except StorageError as refused:
    print(refused)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{path}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "1 rows would refer to nothing after the migration"
    untouched = create_engine(f"sqlite:///{path}")
    assert inspect(untouched).get_table_names() == []
    untouched.dispose()
