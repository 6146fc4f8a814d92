"""The database: opened, brought to this program's version, its errors translated."""

import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from storage.errors import ReadOnly, SchemaTooNew, SchemaTooOld, StorageError
from storage.read_only import LOST, Place, copied, is_writable, readable, require_whole
from storage.sessions import Held

Database = sessionmaker[Session]
"""What opens sessions: `with database.begin() as db` commits or rolls back."""
VERSIONS = tuple(f"{number:04}" for number in range(13, 27))
"""The schema's versions, oldest first; 0001 to 0012 were those of program 0.1.0."""
OUR_TABLES = {"alembic_version", "custody_event", "vault"}
VERSION = re.compile("[0-9]{4}")
FILE_MODE = 0o600
PRAGMAS = (
    "busy_timeout=10000",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "trusted_schema=OFF",
)
READING_PRAGMAS = ("busy_timeout=10000", "trusted_schema=OFF", "query_only=ON")
SERVER = "postgresql"
OWNS = "SELECT pg_has_role(tableowner, 'USAGE') FROM pg_tables WHERE tablename = 'vault'"
READ_ONLY = "read_only"
READS = "reads"
BRINGS = "brings"
"""The option of transactions that bring what they read from a server (`storage.snapshot`)."""
APPROVES = "approves_seal"
"""In a session's info: called with the session, the sealing key, None without a seal, and whether
it has the opening key, before anything private is written; raises where it must not be."""


def open_database(
    url: str | URL, *, existing: bool = False, password: Callable[[], str] | None = None
) -> Database:
    """Open the database at a SQLAlchemy URL; it is made, or brought to date, where it must be.

    `with database.begin() as db` is one transaction; it holds the database's write lock from its
    first statement on. What it loaded stays readable afterwards. With `existing` none is made:
    one that is missing or empty was lost. A file that can only be read is opened for reading, and
    so is a server's database of which this account may only read. `password` is asked for a
    server that wants one which libpq's own files do not have.
    Raises StorageError, SchemaTooOld or SchemaTooNew where another version wrote it.
    """
    try:
        found = make_url(url)
    except ArgumentError as failure:
        raise StorageError(f"the database URL cannot be used: {failure}") from failure
    file = _file(found)
    if file is not None and existing:
        require_whole(file)
    if file is not None and file.exists() and not is_writable(file):
        return sessionmaker(_reading(found, file), class_=Held, expire_on_commit=False)
    engine = _engine(found, password)
    with ExitStack() as on_failure:
        on_failure.callback(engine.dispose)
        if _brought_to_date(engine, existing=existing) is READS:
            engine = engine.execution_options(**{READ_ONLY: True, READS: True})
        on_failure.pop_all()
    if engine.dialect.name == SERVER:
        from storage.snapshot import Served  # noqa: PLC0415 -- an extra's

        bringing = engine.execution_options(**{BRINGS: True})
        return sessionmaker(bringing, class_=Served, expire_on_commit=False)
    return sessionmaker(engine, class_=Held, expire_on_commit=False)


def reading(database: Database) -> Database:
    """Return an open database for reading alone: its transactions keep nobody from writing."""
    return _with(database, **{READS: True})


def briefly(database: Database) -> Database:
    """Return an open database whose transactions bring nothing from a server.

    For short ones: each question costs a wait, and the first begins. To a file it is all the same.
    """
    return _with(database, **{BRINGS: False})


def _with(database: Database, **options: bool) -> Database:
    """Return an open database with other options for its transactions, and the same sessions."""
    made = copy(database)
    made.kw = {**database.kw, "bind": database.kw["bind"].execution_options(**options)}
    return made


def is_read_only(database: Database) -> bool:
    """Tell whether an open database can only be read."""
    return READ_ONLY in database.kw["bind"].get_execution_options()


def _engine(url: URL, password: Callable[[], str] | None = None) -> Engine:
    try:
        if url.get_backend_name() == SERVER:
            from storage.server_engine import engine_for  # noqa: PLC0415 -- an extra's

            engine = engine_for(url, reads=READS, brings=BRINGS, password=password)
            event.listen(engine, "handle_error", _translated)
            return engine
        shared = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        engine = create_engine(url, hide_parameters=True, **(shared if _in_memory(url) else {}))
    except (ArgumentError, ImportError) as failure:
        raise StorageError(f"the database URL cannot be used: {failure}") from failure
    event.listen(engine, "handle_error", _translated)
    if engine.dialect.name == "sqlite":
        file = _file(url)
        if file is not None:
            _claim(file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _reading(url: URL, file: Path) -> Engine:
    """Return an engine that only reads; an older version is brought to date in a private copy."""
    engine = _reading_engine(url, readable(file))
    with ExitStack() as on_failure:
        on_failure.callback(engine.dispose)
        with engine.connect() as connection:
            version = found_version(connection)
        on_failure.pop_all()
    if version == VERSIONS[-1]:
        return engine
    engine.dispose()
    if version is None:
        raise StorageError(f"the database {file} holds nothing: {LOST}")
    place = copied(file)
    writing = _engine(URL.create("sqlite", database=str(place.file)))
    try:
        _brought_to_date(writing, existing=True)
    finally:
        writing.dispose()
    return _reading_engine(url, place)


def _reading_engine(url: URL, place: Place) -> Engine:
    engine = create_engine(
        url, creator=place.connect, hide_parameters=True, execution_options={READ_ONLY: True}
    )
    event.listen(engine, "handle_error", _translated)
    event.listen(engine, "connect", _prepare_reading)
    event.listen(engine, "begin", _begin_reading)
    event.listen(engine, "engine_disposed", lambda _: place.close())
    return engine


def _file(url: URL) -> Path | None:
    """Return the file of a SQLite database; None for one in memory or on a server."""
    if url.get_backend_name() != "sqlite" or _in_memory(url):
        return None
    return Path(url.database or "")


def _in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def _claim(path: Path) -> None:
    """Make the file before SQLite does, so that nobody else can ever read it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))
        if stat.S_IMODE(path.stat().st_mode) != FILE_MODE:
            with suppress(PermissionError):  # another's file: whom it is shared with is theirs
                path.chmod(FILE_MODE)
    except OSError as failure:
        raise StorageError(f"the database {path} cannot be opened: {failure.strerror}") from failure


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    reads = connection.get_execution_options().get(READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _prepare_reading(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    for pragma in READING_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _translated(context: ExceptionContext) -> BaseException:
    """Turn what the driver raises into a StorageError that names the database.

    Text that is none and numbers beyond 64 bits it refuses with errors of Python's own.
    """
    own = isinstance(context.original_exception, UnicodeError | OverflowError)
    if not own and not isinstance(context.sqlalchemy_exception, DBAPIError):
        return context.original_exception
    if context.dialect.name == SERVER and context.engine:
        from storage.postgresql import translated  # noqa: PLC0415 -- an extra's

        return translated(context.engine.url, context.original_exception)
    name = name_of(context.engine.url) if context.engine else "asked for"
    if getattr(context.original_exception, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
        return ReadOnly(f"the database {name} can only be read here: nothing was written")
    return StorageError(f"the database {name} refused: {context.original_exception}")


def _brought_to_date(engine: Engine, *, existing: bool) -> str | None:
    """Bring the schema to this version; returns READS where this account may only read it."""
    if engine.dialect.name == SERVER:
        from storage.server_transactions import standing  # noqa: PLC0415 -- an extra's

        told = standing(engine)
        if told is not None and told.version == VERSIONS[-1]:
            return None if told.writes else READS
    with reading_only(engine).begin() as connection:
        found = found_version(connection)
    if found == VERSIONS[-1]:
        return None
    if found is None and existing:
        raise StorageError(f"the database {name_of(engine.url)} holds nothing: {LOST}")
    if found is not None and engine.dialect.name != "sqlite":
        _require_owner(engine, found)
    from storage.migrations import upgrade  # noqa: PLC0415 -- importing Alembic takes 150 ms

    with _unchecked_foreign_keys(engine) as connection, connection.begin():
        upgrade(connection)
    return None


def _require_owner(engine: Engine, found: str) -> None:
    """Refuse to change the schema on a server as anybody but its owner."""
    with reading_only(engine).begin() as connection:
        owns = connection.scalar(text(OWNS))
    if not owns:
        raise StorageError(
            f"the database {name_of(engine.url)} has version {found}; its owner brings it to "
            f"{VERSIONS[-1]}, with this program"
        )


def reading_only(engine: Engine) -> Engine:
    """Return the engine for transactions that only read."""
    return engine.execution_options(**{READS: True})


def asking_anew(engine: Engine) -> Engine:
    """Return the engine for transactions that only read, each as of the moment it begins."""
    return reading_only(engine).execution_options(**{BRINGS: False})


def name_of(url: URL) -> str:
    """Return where a database is, without how it is opened."""
    if url.get_backend_name() == SERVER:
        from storage.postgresql import shown  # noqa: PLC0415 -- an extra's

        return shown(url)
    return url.set(query={}).render_as_string()


def found_version(connection: Connection) -> str | None:
    """Return the version of the database, None where it is empty.

    Raises StorageError where another program made it, SchemaTooOld or SchemaTooNew.
    """
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    name = name_of(connection.engine.url)
    if not tables >= OUR_TABLES:
        raise StorageError(f"the database {name} belongs to another program")
    return known_version(connection.scalar(text("SELECT version_num FROM alembic_version")), name)


def known_version(found: object, name: str) -> str:
    """Return a version this program reads, of the database of that name.

    Raises StorageError where no version of this program wrote it, SchemaTooOld or SchemaTooNew.
    """
    if not isinstance(found, str) or not VERSION.fullmatch(found):
        raise StorageError(f"the database {name} belongs to another program")
    if found < VERSIONS[0]:
        raise SchemaTooOld(name, found)
    if found not in VERSIONS:
        raise SchemaTooNew(found, VERSIONS[-1])
    return found


@contextmanager
def _unchecked_foreign_keys(engine: Engine) -> Iterator[Connection]:
    """Yield a connection on which tables may be rebuilt that others refer to."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            from storage.server_dialect import driven  # noqa: PLC0415 -- an extra's

            driven(connection).patient = True  # a table may be rebuilt
            yield connection
            driven(connection).patient = False
            return
        driver = connection.connection
        driver.execute("PRAGMA foreign_keys=OFF").close()
        try:
            yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()
