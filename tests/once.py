"""What every process computes anew, computed once for all commands the tests run in this one."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Hashable, Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from segno import encoder as segno_encoder
from sqlalchemy import Connection, Engine, create_engine, select, text
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.util import LRUCache
from typer import Typer
from typer import main as typer_main

from cards import bip32, emulation
from coordinator import cli
from coordinator.chain.regtest import log
from coordinator.cli import build, manual
from psbt import policy
from psbt.keys import ChildKeys, children
from storage import database, encryption, migrations
from storage.database import VERSIONS, found_version

COMPILED = LRUCache(4096)
SHARING: tuple[type[Dialect], ...] = (SQLiteDialect_pysqlite,)
"""Dialects whose engines take what others of the same have compiled."""
MAKE_ENGINES: tuple[ModuleType, ...] = (database,)
"""Modules that make engines."""
if find_spec("psycopg") is not None:
    from storage import server_dialect, server_engine

    SHARING = (*SHARING, server_dialect.ServerDialect)
    MAKE_ENGINES = (*MAKE_ENGINES, server_dialect, server_engine)
RIPEMD160 = lru_cache(maxsize=4096)(bip32.ripemd160)
POINTS = lru_cache(maxsize=4096)(emulation.public_key)
STRETCHED = lru_cache(maxsize=64)(encryption._stretched)
BLOCKS = lru_cache(maxsize=16_384)(log._whole_block)
CHECKSUMS = lru_cache(maxsize=4096)(policy.checksum)
CODES = lru_cache(maxsize=1024)(segno_encoder.encode)
OPTIONS = lru_cache(maxsize=1024)(typer_main.get_params_from_function)
SCHEMAS: dict[str, list[str]] = {}
"""The statements that make an empty SQLite database one of a version."""
LAST = "head"
upgrade = migrations.upgrade
get_command = typer_main.get_command
below = emulation.Node.below


@lru_cache(maxsize=64)
def remembered_children(public_key: bytes, chain_code: bytes) -> ChildKeys:
    """Return a key's derivation, each child of which is computed once."""
    return lru_cache(maxsize=4096)(children(public_key, chain_code))


def compiling_once(*given: object, **options: object) -> Engine:
    """Make an engine that takes the statements other engines of the tests have compiled."""
    engine = create_engine(*given, **options)
    if isinstance(engine.dialect, SHARING):
        engine._compiled_cache = COMPILED
    return engine


def migrating_once(connection: Connection, version: str = LAST) -> None:
    """Migrate; an empty SQLite database becomes what migrating the first one made of it."""
    named = VERSIONS[-1] if version == LAST else version
    if connection.dialect.name != "sqlite" or found_version(connection) is not None:
        upgrade(connection, version)
        return
    if named in SCHEMAS:
        for statement in SCHEMAS[named]:
            connection.exec_driver_sql(statement)
        return
    upgrade(connection, version)
    made = connection.exec_driver_sql("SELECT name, type, sql FROM sqlite_master ORDER BY rowid")
    rows = [row for row in made.all() if row.sql and not row.name.startswith("sqlite_")]
    tables = [row.name for row in rows if row.type == "table"]
    filled = [name for name in tables if connection.scalar(select(1).select_from(text(name)))]
    assert filled == ["alembic_version"], "a migration that stores rows is not only its schema"
    written = f"INSERT INTO alembic_version VALUES ('{named}')"  # noqa: S608 -- ours
    SCHEMAS[named] = [*(row.sql for row in rows), written]


@cache
def names_of_commands() -> frozenset[str]:
    """Return what `build` looks for among the words: the nouns, and the verbs without one."""
    app = build(())
    listed = (*app.registered_commands, *app.registered_groups)
    return frozenset(str(each.name) for each in listed)


@cache
def built(names: frozenset[str]) -> Callable[..., Any]:
    """Return the command line with these nouns and verbs filled; running it changes nothing."""
    return get_command(build(names))


def building_once(words: Collection[str]) -> Typer | Callable[..., Any]:
    """Build the command line that these words ask for, once."""
    if manual.COMPLETE in os.environ:
        return build(list(words))
    return built(names_of_commands().intersection(words))


@lru_cache(maxsize=4096)
def nodes_below(node: emulation.Node, path: tuple[int, ...]) -> emulation.Node:
    """Return the node of an emulated card's key that many steps below."""
    return below(node, path)


@contextlib.contextmanager
def deriving_once() -> Iterator[None]:
    """Share what emulated cards derive from their keys, and keys' fingerprints."""
    with (
        mock.patch.object(bip32, "ripemd160", RIPEMD160),
        mock.patch.object(emulation, "public_key", POINTS),
        mock.patch.object(
            emulation.Node, "below", lambda node, path: nodes_below(node, tuple(path))
        ),
    ):
        yield


@contextlib.contextmanager
def computing_once() -> Iterator[None]:
    """Share compiled SQL, schemas, child keys, checksums, QR codes, blocks, the command line, keys
    of passphrases.
    """
    with (
        deriving_once(),
        mock.patch.object(log, "_whole_block", BLOCKS),
        mock.patch.object(cli, "build", building_once),
        mock.patch.object(encryption, "_stretched", STRETCHED),
        mock.patch.object(policy, "children", remembered_children),
        mock.patch.object(policy, "checksum", CHECKSUMS),
        mock.patch.object(segno_encoder, "encode", CODES),
        mock.patch.object(migrations, "upgrade", migrating_once),
        mock.patch.object(typer_main, "get_params_from_function", OPTIONS),
        contextlib.ExitStack() as stack,
    ):
        for makes in MAKE_ENGINES:
            stack.enter_context(mock.patch.object(makes, "create_engine", compiling_once))
        for each in SHARING:
            same, number = (lambda a, b: type(a) is type(b)), (lambda a: hash(type(a)))
            stack.enter_context(mock.patch.object(each, "__eq__", same))
            stack.enter_context(mock.patch.object(each, "__hash__", number))
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
