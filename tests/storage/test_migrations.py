import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session, sessionmaker

from storage.database import VERSIONS, open_database
from storage.model import whole_schema
from storage.vaults import all_vaults
from tests.servers.postgresql import Engines
from tests.storage.making import add_vault


def test_the_program_knows_every_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert [each.revision for each in scripts.walk_revisions()][::-1] == list(VERSIONS)


def test_the_migrations_make_what_the_model_says(database: sessionmaker[Session]) -> None:
    with database.kw["bind"].connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, whole_schema()) == []


def test_the_migrations_make_every_column_constraint_and_index_of_the_model(
    on_file: sessionmaker[Session],
) -> None:
    modelled = create_engine("sqlite://")
    whole_schema().create_all(modelled)
    assert tables(on_file.kw["bind"]) == tables(modelled)
    assert written(on_file.kw["bind"], "index") == written(modelled, "index")
    modelled.dispose()


CATALOGUES: Final = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
)


def test_the_migrations_make_every_column_constraint_and_index_on_a_server_too(
    on_server: Engines, place: URL
) -> None:
    server, name = on_server.server, on_server.server.database()
    modelled = create_engine(server.url(name))
    whole_schema().create_all(modelled)
    modelled.dispose()
    for asked in CATALOGUES:
        made = [row for row in server.run(asked, str(place.database)) if "alembic" not in row[0]]
        assert sorted(map(str, made)) == sorted(map(str, server.run(asked, name)))


def test_the_migrations_make_the_triggers_that_keep_the_custody_log(
    on_file: sessionmaker[Session],
) -> None:
    said = "BEGIN SELECT RAISE(ABORT, 'the custody book is only ever appended to'); END"
    same = "NEW.event_id = OLD.event_id AND NEW.field = OLD.field AND NEW.digest = OLD.digest"
    gone = "NEW.text IS NULL AND NEW.salt IS NULL"
    made = written(on_file.kw["bind"], "trigger")
    assert "follows the last one" in made.pop("custody_event_in_order")
    assert {name: sql for name, sql in made.items() if name.startswith("custody_")} == {
        name: f"CREATE TRIGGER {name} BEFORE {change} {said}"
        for name, change in {
            "custody_event_kept": "DELETE ON custody_event",
            "custody_event_unchanged": "UPDATE ON custody_event",
            "custody_text_kept": "DELETE ON custody_text",
            "custody_text_only_erased": (
                f"UPDATE ON custody_text WHEN NOT ({same} AND ("
                f"({gone} AND NEW.sealed IS NULL) OR "
                f"({gone} AND NEW.sealed IS NOT NULL AND OLD.text IS NOT NULL) OR "
                "(NEW.text IS NOT NULL AND NEW.sealed IS NULL AND OLD.sealed IS NOT NULL)))"
            ),
        }.items()
    }


def test_a_database_of_the_version_before_is_brought_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_database(f"sqlite:///{path}")
    with first.begin() as db:
        add_vault(db, "kept")
    first.kw["bind"].dispose()
    monkeypatch.setattr("storage.database.VERSIONS", (*VERSIONS, "9998"))
    monkeypatch.setattr("storage.migrations.upgrade", to_version_9998)
    second = open_database(f"sqlite:///{path}")
    with second.begin() as db:
        assert [vault.name for vault in all_vaults(db)] == ["kept"]
        assert db.connection().exec_driver_sql("SELECT version_num FROM alembic_version").all() == [
            ("9998",)
        ]
    second.kw["bind"].dispose()


def to_version_9998(connection: Connection) -> None:
    """Stand for a migration to come."""
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9998'")


def written(engine: Engine, kind: str) -> dict[str, str]:
    """Return the statement that made each index or trigger."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL", (kind,)
        )
        return {name: " ".join(sql.split()) for name, sql in rows if "alembic" not in name}


def tables(engine: Engine) -> dict[str, Any]:
    """Return the columns and constraints of each table."""
    seen = inspect(engine)
    return {
        table: (
            sorted(
                (c["name"], str(c["type"]), c["nullable"], c["default"], c["primary_key"])
                for c in seen.get_columns(table)
            ),
            sorted((c["name"], c["sqltext"]) for c in seen.get_check_constraints(table)),
            sorted(
                (i["name"], i["unique"], str(i.get("dialect_options", {}).get("sqlite_where")))
                for i in seen.get_indexes(table)
            ),
            sorted((u["name"], *u["column_names"]) for u in seen.get_unique_constraints(table)),
            sorted((f["name"], f["referred_table"]) for f in seen.get_foreign_keys(table)),
        )
        for table in seen.get_table_names()
        if table != "alembic_version"
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
    assert len(inspect(healed.kw["bind"]).get_table_names()) == len(whole_schema().tables) + 1
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
        cursor.execute("INSERT INTO sync_state VALUES (7, 1, '00', '2026-01-01 00:00:00', NULL)")

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
