"""How transactions on a server begin: each with one message, which also brings what it reads."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import psycopg
from sqlalchemy import Connection, Engine

from storage import snapshot
from storage.brought import TABLES, Rows, Snapshot
from storage.errors import StorageError
from storage.postgresql import BRINGS, LOCK_SECONDS, MAY_NOT, translated
from storage.server_dialect import (
    READING,
    TIMELINE,
    Begun,
    Opening,
    ServerConnection,
    ServerDialect,
    driven,
)

WRITERS: Final = 0x63617264
"""The advisory lock of who writes: "card"."""
IDLE_SECONDS: Final = 120
WRITING: Final = (
    f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; "
    f"SELECT pg_advisory_xact_lock({WRITERS})"
)
WHO: Final = "SELECT pg_backend_pid(), clock_timestamp(), {}::text, {}"
"""Which process answers, its time, and which transaction it is that may write."""
NUMBER: Final = "pg_current_xact_id()"
STANDING: Final = (
    "SELECT pg_backend_pid(), version_num, has_table_privilege('ceremony', 'INSERT')"
    " AND NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'"
    " FROM alembic_version"
)
NO_TABLE: Final = "42P01"


class Standing(NamedTuple):
    """The version that a database says it has, and whether this account may write it."""

    version: str
    writes: bool


def standing(engine: Engine) -> Standing | None:
    """Return how a database stands; None where tables of ours are missing.

    The same message brings what is read next. Raises StorageError.
    """
    with engine.connect() as connection:
        server, dialect = driven(connection), cast("ServerDialect", connection.dialect)
        try:
            told = _opened(server, dialect)
        except psycopg.Error as failure:
            if failure.sqlstate == NO_TABLE:
                return None
            raise translated(engine.url, failure) from failure
        ((process, *found),) = told.rows
        _require_no_pooler(server, process)
        return Standing(*found)


def _opened(server: ServerConnection, dialect: ServerDialect) -> Rows:
    """Return what `STANDING` asks, and keep what came with it for those that read next."""
    begin = f"{READING}; {WHO.format('NULL', 'NULL')}; {STANDING}"
    try:
        who, told, small = snapshot.bring(server, begin, TABLES, after="; COMMIT")
    except psycopg.Error as failure:
        if failure.sqlstate != MAY_NOT:
            raise
        server.rollback()
        return next(snapshot.results(server, STANDING))
    dialect.small = snapshot.names(small)
    if server.snapshot is not None and not server.snapshot.large:
        ((_, told_at, *_),) = who.rows
        dialect.first = Opening(time.monotonic(), told_at, server.snapshot.brought)
    server.snapshot = None
    return told


def begin(reads: str, connection: Connection) -> None:
    """Begin a transaction, for reading where the option says so; raises StorageError.

    One that writes takes the writers' lock first.
    """
    options = connection.get_execution_options()
    dialect, server = cast("ServerDialect", connection.dialect), driven(connection)
    first = dialect.first
    if not (options.get(reads) and first is not None and first.is_now()):
        dialect.first = None
    elif options.get(BRINGS) == TABLES:
        server.snapshot, server.told_at = Snapshot(first.brought), first.told_at
        server.ended = True
        return
    try:
        _begin(connection, reads=bool(options.get(reads)), brings=options.get(BRINGS, ()))
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure


def _begin(connection: Connection, *, reads: bool, brings: Sequence[str]) -> None:
    dialect, server = cast("ServerDialect", connection.dialect), driven(connection)
    if brings and dialect.small is None:
        asked = snapshot.small_of(TABLES)
        dialect.small = snapshot.names(next(snapshot.results(server, asked)))
    tables = [name for name in dialect.small or () if name in brings]
    server.ended = reads and len(tables) == len(TABLES)
    first = f"{READING}; {WHO.format('NULL', 'NULL')}"
    if not reads:
        first = f"{WRITING}; {WHO.format(NUMBER, TIMELINE)}"
    if brings:
        after = "; COMMIT" if server.ended else ""
        *_, told, small = snapshot.bring(server, first, tables, after=after, among=brings)
    else:
        server.snapshot = None
        *_, told = snapshot.results(server, f"{first}; {snapshot.PLAIN}")
    ((process, server.told_at, *number),) = told.rows
    server.begun = None if reads else Begun(*number)
    _require_no_pooler(server, process)
    if brings != TABLES:
        return
    dialect.small = snapshot.names(small)
    if server.ended and set(tables) - set(dialect.small):
        _begin(connection, reads=reads, brings=brings)  # a table became large: read it there


def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    """Have the connection know of a statement before the server gets it."""
    try:
        driven(connection).asks(statement)
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure


def _require_no_pooler(server: ServerConnection, process: int) -> None:
    """Raise StorageError where another process answers than the one that was connected to."""
    if process != server.info.backend_pid:
        raise StorageError(
            "a connection pooler stands before the database: give the server's own address"
        )
