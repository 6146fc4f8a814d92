"""How transactions on a server begin: each with one message, which also brings what it reads."""

from typing import Final, NamedTuple, cast

import psycopg
from sqlalchemy import Connection, Engine

from storage import snapshot
from storage.postgresql import LOCK_SECONDS, MAY_NOT, translated
from storage.prefetched import TABLES, Opening, Rows, Snapshot
from storage.server_dialect import (
    READING,
    TIMELINE,
    ServerConnection,
    ServerDialect,
    driven,
)

WRITERS: Final = 0x63617264
"""The advisory lock of who writes: "card"."""
IDLE_SECONDS: Final = 120
PLAIN: Final = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'"
"""How moments are to be written in what comes."""
WHO: Final = "SELECT pg_backend_pid(), clock_timestamp()::text"
"""Which process answers, and its time."""
READS: Final = f"{READING}; {PLAIN}; {WHO}"
WRITES: Final = (
    f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; {PLAIN}; "
    f"SELECT pg_advisory_xact_lock({WRITERS}); {WHO}, pg_current_xact_id()::text, {TIMELINE}"
)
"""Begin; who writes takes its lock first, and learns the transaction's number."""
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
        server.require_no_pooler(process)
        return Standing(*found)


def _opened(server: ServerConnection, dialect: ServerDialect) -> Rows:
    """Return what `STANDING` asks, and keep what came with it for those that read next."""
    try:
        who, told, small = snapshot.bring(server, f"{READS}; {STANDING}", TABLES, after="; COMMIT")
    except psycopg.Error as failure:
        if failure.sqlstate != MAY_NOT:
            raise
        server.rollback()
        return next(snapshot.results(server, STANDING))
    dialect.small = snapshot.names(small)
    if server.snapshot is not None and not server.snapshot.large:
        ((_, told_at),) = who.rows
        dialect.first = Opening(told_at, server.snapshot.brought)
    server.snapshot = None
    return told


def begin(reads: str, brings: str, connection: Connection) -> None:
    """Begin a transaction, for reading where the option says so; raises StorageError.

    One that writes takes the writers' lock first. One that brings nothing begins with the first
    message somebody waits for.
    """
    options, server = connection.get_execution_options(), driven(connection)
    dialect, only_reads = cast("ServerDialect", connection.dialect), bool(options.get(reads))
    opening = dialect.first if only_reads else None
    if not options.get(brings):
        server.snapshot, server.first = None, READS if only_reads else WRITES
        dialect.first = opening
        return
    if opening is not None and opening.is_now():
        server.snapshot, server.told_at = Snapshot(opening.brought, opening), opening.told_at
        server.ended = True
        return
    dialect.first = None
    try:
        _bring(connection, reads=only_reads)
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure


def _bring(connection: Connection, *, reads: bool) -> None:
    dialect, server = cast("ServerDialect", connection.dialect), driven(connection)
    if dialect.small is None:
        dialect.small = snapshot.names(next(snapshot.results(server, snapshot.SMALL)))
    changes = dialect.changes
    tables, needed = dialect.small, [n for n in dialect.needed if n not in dialect.small]
    server.ended = reads and len(tables) + len(needed) == len(TABLES)
    after, before = "; COMMIT" if server.ended else "", READS if reads else WRITES
    *_, told, small = snapshot.bring(server, before, tables, after=after, needed=needed)
    server.takes(told.rows[0])
    dialect.small, found = snapshot.names(small), server.snapshot
    if found is None:
        return
    # One that was small until now is asked for as often as it was then.
    dialect.needed = tuple(each for each in (*tables, *needed) if each in found.later)
    if not server.ended:
        return
    if found.large:
        _bring(connection, reads=reads)  # a table became larger: read it as what it is now
    elif dialect.changes == changes:
        dialect.first = Opening(server.told_at, found.brought)


def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    """Have the connection know of a statement before the server gets it."""
    try:
        driven(connection).asks(statement)
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure
