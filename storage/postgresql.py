"""A home's memory on a PostgreSQL server: how it is reached, and how writers take turns.

A transaction that writes takes one advisory lock of the database as its first statement, as SQLite
takes its write lock: what it read stays true until it commits, and no writer meets another. Locks
end with their transactions; nothing is kept in a session of the server.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from storage.errors import (
    CommitUnknown,
    DatabaseUnreachable,
    PasswordNeeded,
    ReadOnly,
    StorageError,
)

if TYPE_CHECKING:
    from psycopg import Connection as ServerConnection

DRIVER: Final = "postgresql+psycopg"
DRIVER_NAME: Final = "postgresql+cardquorum"
OPTIONS: Final = frozenset(
    {
        "host",
        "passfile",
        "service",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)
"""What a URL may say beside user, host, port and database; the rest is libpq's own files'."""
SEVERAL: Final = re.compile(
    "(?P<before>[^/]*//(?:[^/@?]*@)?)(?P<hosts>[^/@?]*,[^/@?]*)(?P<after>.*)"
)
PORT: Final = re.compile(":[0-9]*$")
HOST_TWICE: Final = "the database URL names a host twice: before the database and after ?"
VERIFIED: Final = "verify-full"
WRITERS: Final = 0x63617264
"""The advisory lock of who writes: "card"."""
LOCK_SECONDS: Final = 20
IDLE_SECONDS: Final = 120
CONNECT_SECONDS: Final = 10
CUT_AFTER: Final = {
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A line on which nothing arrives any more is taken for cut after half a minute."""
VERSION_LEAST: Final = 140_000

NO_PASSWORD: Final = re.compile("no password supplied|password authentication failed")
"""What a refusal to connect says: it comes without an SQLSTATE."""
NOT_LET_IN: Final = "28P01"
MAY_NOT: Final = "42501"
ONLY_READS: Final = "25006"
WAITED: Final = "55P03"
"""SQLSTATE of a lock that was not had in time."""
CUT: Final = re.compile("57P0[1-5]|57014|08...|25P03|53300")
"""SQLSTATE of a connection the server ended or did not make, or of a statement it cancelled."""


def parsed_url(text: str) -> URL:
    """Return what a text means, several hosts as libpq has them too (`HOST:PORT,HOST:PORT`).

    Raises StorageError.
    """
    several = SEVERAL.fullmatch(text)
    try:
        url = make_url(several["before"] + several["after"] if several else text)
    except (ArgumentError, ValueError) as failure:
        raise StorageError("the database URL cannot be read as one") from failure
    if several is None:
        return url
    if "host" in url.query:
        raise StorageError(HOST_TWICE)
    return url.update_query_dict({"host": several["hosts"].split(",")})


def checked_url(url: URL) -> URL:
    """Return the URL of a database on a server as it is opened; raises StorageError.

    A password is never part of it, and the server proves who it is unless it is this computer. Of
    several hosts the one that writes is meant, unless the URL says otherwise.
    """
    if url.drivername not in {DRIVER, "postgresql"}:
        raise StorageError(f"the database URL begins {url.drivername}://; it is {DRIVER}://")
    if url.password is not None:
        raise StorageError(
            "the database URL holds a password; it belongs into a pgpass or service file"
        )
    query = dict(url.query)
    if unknown := sorted(set(query) - OPTIONS):
        raise StorageError(
            f"unknown option {unknown[0]} of the database URL;"
            f" expected one of {', '.join(sorted(OPTIONS))}"
        )
    if url.host and "host" in query:
        raise StorageError(HOST_TWICE)
    if not url.database and "service" not in query:
        raise StorageError("the database URL names no database: …/NAME at its end")
    if len(_hosts(url)) > 1:
        query.setdefault("target_session_attrs", "read-write")
    if not is_local(url):
        mode = query.setdefault("sslmode", VERIFIED)
        if mode != VERIFIED:
            raise StorageError(
                f"the database URL says sslmode={mode}: another computer is only reached with "
                f"sslmode={VERIFIED}"
            )
    return url.set(drivername=DRIVER, query=query)


def _hosts(url: URL) -> list[str]:
    """Return the hosts that a URL names, each with its port where it is told there."""
    named = url.host or url.query.get("host") or ()
    given = [named] if isinstance(named, str) else named
    return [host for each in given for host in each.split(",")]


def is_local(url: URL) -> bool:
    """Tell whether a URL names servers of this computer alone.

    Where it leaves that to a service file or to libpq's variables, nobody knows; a socket of this
    computer takes no TLS however much is asked for.
    """
    hosts = _hosts(url)
    return "service" not in url.query and bool(hosts) and all(map(_is_here, hosts))


def _is_here(host: str) -> bool:
    name = PORT.sub("", host) if host.count(":") == 1 else host
    try:
        return name.startswith("/") or name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def shown(url: URL) -> str:
    """Return where a database is, without how it is opened."""
    plain = url.set(drivername=DRIVER, query={}).render_as_string()
    if url.host or not url.database:
        return plain
    before, _, database = plain.rpartition("/")
    return f"{before}{','.join(_hosts(url))}/{database}"


def engine_for(url: URL, *, reads: str, password: Callable[[], str] | None = None) -> Engine:
    """Return the engine; `reads` is the execution option of transactions that only read.

    `password` is asked once, where the server wants one and libpq's own files have none.
    """
    from storage.server_dialect import (  # noqa: PLC0415 -- the driver is an extra's
        TIMELINE,
        Begun,
        driven,
    )

    registry.register(DRIVER_NAME.replace("+", "."), "storage.server_dialect", "ServerDialect")
    engine = create_engine(
        checked_url(url).set(drivername=DRIVER_NAME),
        hide_parameters=True,
        pool_size=2,
        pool_pre_ping=True,
        use_native_hstore=False,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "cardquorum",
            "prepare_threshold": None,
            **CUT_AFTER,
        },
    )
    asked: list[str] = []

    def connect(dialect: Dialect, _: ConnectionPoolEntry, *given: Any) -> DBAPIConnection:  # noqa: ANN401 -- the driver's own
        """Connect, with the password that was asked for where there is one."""
        words, named = given
        try:
            return dialect.connect(*words, **named, **({"password": asked[0]} if asked else {}))
        except dialect.loaded_dbapi.Error as failure:
            if asked or password is None or not NO_PASSWORD.search(str(failure)):
                raise
            asked.append(password())
            return dialect.connect(*words, **named, password=asked[0])

    def begin(connection: Connection) -> None:
        """Say what kind of transaction this is, and take the writers' lock."""
        if connection.get_execution_options().get(reads):
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return
        begun = connection.exec_driver_sql(
            f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; "
            f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; "
            f"SELECT pg_advisory_xact_lock({WRITERS}); "
            f"SELECT pg_current_xact_id()::text, {TIMELINE}"
        ).one()
        driven(connection).begun = Begun(*begun)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", _require_server)
    event.listen(engine, "begin", begin)
    return engine


def _require_server(connection: "ServerConnection[Any]", _entry: ConnectionPoolEntry) -> None:
    """Refuse a pooler, an old server and another encoding; raises StorageError."""
    (process,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    version = connection.info.server_version
    encoding = connection.info.parameter_status("server_encoding")
    if process != connection.info.backend_pid:
        raise StorageError(
            "a connection pooler stands before the database: give the server's own address"
        )
    if version < VERSION_LEAST:
        raise StorageError(
            f"PostgreSQL {version // 10_000} is too old: {VERSION_LEAST // 10_000} or newer"
        )
    if encoding != "UTF8":
        raise StorageError(f"the database's encoding is {encoding}; it has to be UTF8")


def copy_into(connection: Connection, command: str, rows: Iterable[Sequence[object]]) -> None:
    """Run COPY FROM STDIN in a connection's transaction; raises StorageError."""
    import psycopg  # noqa: PLC0415 -- an extra's

    from storage.server_dialect import driven  # noqa: PLC0415 -- as above

    try:
        with driven(connection).cursor() as cursor, cursor.copy(command.encode()) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure


def server_time(db: Session) -> datetime:
    """Return the time of the server's own clock."""
    told: datetime = db.scalars(text("SELECT clock_timestamp()")).one()
    return told


def translated(url: URL, failure: BaseException) -> StorageError:
    """Return what a driver's exception means; nothing of the rows is quoted."""
    from storage.server_dialect import AnswerLost  # noqa: PLC0415 -- the driver is an extra's

    name, state = shown(url), str(getattr(failure, "sqlstate", None) or "")
    if isinstance(failure, AnswerLost):
        return CommitUnknown(name)
    said = getattr(getattr(failure, "diag", None), "message_primary", None)
    if state == NOT_LET_IN or NO_PASSWORD.search(str(failure)):
        return PasswordNeeded(name)
    if state in {MAY_NOT, ONLY_READS}:
        return ReadOnly(f"the database {name} does not allow this to be written: {said}")
    if state == WAITED:
        return StorageError(
            f"another program writes to the database {name} for more than {LOCK_SECONDS} seconds"
        )
    if CUT.fullmatch(state) or said is None:
        return DatabaseUnreachable(name, said or _first_line(failure))
    return StorageError(f"the database {name} refused: {said}")


def _first_line(failure: BaseException) -> str:
    return next(iter(str(failure).strip().splitlines()), type(failure).__name__)
