"""What every process computes anew, computed once for all commands the tests run in this one."""

import atexit
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from unittest import mock

from sqlalchemy import Connection, Engine, create_engine, select, text
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from typer import main as typer_main

from psbt import policy
from psbt.keys import ChildKeys, children
from storage import database, migrations
from storage.database import VERSIONS, found_version

COMPILED = LRUCache(4096)
OPTIONS = lru_cache(maxsize=1024)(typer_main.get_params_from_function)
SCHEMA: list[str] = []
"""The statements that make an empty SQLite database one of the newest version."""
LAST = "head"
upgrade = migrations.upgrade


@lru_cache(maxsize=64)
def remembered_children(public_key: bytes, chain_code: bytes) -> ChildKeys:
    """Return a key's derivation, each child of which is computed once."""
    return lru_cache(maxsize=4096)(children(public_key, chain_code))


def compiling_once(*given: object, **options: object) -> Engine:
    """Make an engine that takes the statements other engines of the tests have compiled."""
    engine = create_engine(*given, **options)
    if isinstance(engine.dialect, SQLiteDialect_pysqlite):
        engine._compiled_cache = COMPILED
    return engine


def migrating_once(connection: Connection, version: str = LAST) -> None:
    """Migrate; an empty SQLite database becomes what migrating the first one made of it."""
    kind = connection.dialect.name
    if (kind, version) != ("sqlite", LAST) or found_version(connection) is not None:
        upgrade(connection, version)
        return
    if SCHEMA:
        for statement in SCHEMA:
            connection.exec_driver_sql(statement)
        return
    upgrade(connection)
    made = connection.exec_driver_sql("SELECT name, type, sql FROM sqlite_master ORDER BY rowid")
    rows = [row for row in made.all() if row.sql and not row.name.startswith("sqlite_")]
    tables = [row.name for row in rows if row.type == "table"]
    filled = [name for name in tables if connection.scalar(select(1).select_from(text(name)))]
    assert filled == ["alembic_version"], "a migration that stores rows is not only its schema"
    SCHEMA.extend(row.sql for row in rows)
    SCHEMA.append(f"INSERT INTO alembic_version VALUES ('{VERSIONS[-1]}')")  # noqa: S608 -- ours


@contextlib.contextmanager
def computing_once() -> Iterator[None]:
    """Share compiled SQL, the newest schema, child keys and commands' options."""
    with (
        mock.patch.object(policy, "children", remembered_children),
        mock.patch.object(database, "create_engine", compiling_once),
        mock.patch.object(migrations, "upgrade", migrating_once),
        mock.patch.object(typer_main, "get_params_from_function", OPTIONS),
        mock.patch.object(SQLiteDialect_pysqlite, "__eq__", lambda a, b: type(a) is type(b)),
        mock.patch.object(SQLiteDialect_pysqlite, "__hash__", lambda a: hash(type(a))),
    ):
        yield


@cache
def folder_made(make: Callable[..., object], *given: Hashable) -> Path:
    """Return the folder that `make` makes of what is given: made once, never changed."""
    folder = Path(tempfile.mkdtemp(prefix="cardquorum-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make(folder / "home", *given)
    return folder / "home"


def copy_of(make: Callable[..., object], home: Path, *given: Hashable) -> None:
    """Put a copy of what `make` makes where a home shall be."""
    shutil.copytree(folder_made(make, *given), home)
