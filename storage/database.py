"""The database: opened, brought to this program's version, its errors translated."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from storage.errors import SchemaTooNew, StorageError

Db = Session
VERSIONS = (
    "0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011",
)  # fmt: skip
FILE_MODE = 0o600
PRAGMAS = (
    "busy_timeout=10000",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
)


def open_database(url: str | URL) -> sessionmaker[Session]:
    """Open the database at a SQLAlchemy URL; it is made, or brought to date, where it must be.

    `with database.begin() as db` is one transaction; on SQLite it holds the write lock from its
    first statement on. What it loaded stays readable afterwards. Raises StorageError, or
    SchemaTooNew where a newer program wrote it.
    """
    engine = _engine(url)
    with ExitStack() as on_failure:
        on_failure.callback(engine.dispose)
        _bring_to_date(engine)
        on_failure.pop_all()
    return sessionmaker(engine, expire_on_commit=False)


def _engine(url: str | URL) -> Engine:
    try:
        engine = _create(make_url(url))
    except (ArgumentError, ImportError) as failure:
        raise StorageError(f"the database URL cannot be used: {failure}") from failure
    event.listen(engine, "handle_error", _translated)
    if engine.dialect.name == "sqlite":
        if not _in_memory(engine.url):
            _claim(Path(engine.url.database or ""))
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _create(url: URL) -> Engine:
    shared = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    return create_engine(url, hide_parameters=True, **(shared if _in_memory(url) else {}))


def _in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def _claim(path: Path) -> None:
    """Make the file before SQLite does, so that nobody else can ever read it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))
        path.chmod(FILE_MODE)
    except OSError as failure:
        raise StorageError(f"the database {path} cannot be opened: {failure.strerror}") from failure


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _translated(context: ExceptionContext) -> BaseException:
    """Turn what the driver raises into a StorageError that names the database.

    Text that is none and numbers beyond 64 bits it refuses with errors of Python's own.
    """
    own = isinstance(context.original_exception, UnicodeError | OverflowError)
    if not own and not isinstance(context.sqlalchemy_exception, DBAPIError):
        return context.original_exception
    name = context.engine.url.render_as_string() if context.engine else "asked for"
    return StorageError(f"the database {name} refused: {context.original_exception}")


def _bring_to_date(engine: Engine) -> None:
    with engine.begin() as connection:
        if found_version(connection) == VERSIONS[-1]:
            return
    from storage.migrations import upgrade  # noqa: PLC0415 -- importing Alembic takes 150 ms

    with _unchecked_foreign_keys(engine) as connection, connection.begin():
        upgrade(connection)


def found_version(connection: Connection) -> str | None:
    """Return the version of the database, None where it is empty.

    Raises SchemaTooNew, and StorageError where another program made it.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise StorageError(f"the database {connection.engine.url} belongs to another program")
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is not None and found not in VERSIONS:
        raise SchemaTooNew(str(found), VERSIONS[-1])
    return None if found is None else str(found)


@contextmanager
def _unchecked_foreign_keys(engine: Engine) -> Iterator[Connection]:
    """Yield a connection on which tables may be rebuilt that others refer to."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            return
        driver = connection.connection
        driver.execute("PRAGMA foreign_keys=OFF").close()
        try:
            yield connection
        finally:
            driver.execute("PRAGMA foreign_keys=ON").close()
