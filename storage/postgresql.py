"""A home's memory on a PostgreSQL server: how it is reached, and how writers take turns.

A transaction that writes takes one advisory lock of the database as its first statement, as SQLite
takes its write lock: what it read stays true until it commits, and no writer meets another. Locks
end with their transactions; nothing is kept in a session of the server.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from storage.errors import (
    CommitUnknown,
    DatabaseUnreachable,
    PasswordNeeded,
    ReadOnly,
    StorageError,
)

DRIVER: Final = "postgresql+psycopg"
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
LOCK_SECONDS: Final = 20
MESSAGE_MAX: Final = 8 * 1024 * 1024
"""How many bytes of rows go along with a message; more go by themselves."""

NO_PASSWORD: Final = re.compile("no password supplied|password authentication failed")
"""What a refusal to connect says: it comes without an SQLSTATE."""
NOT_LET_IN: Final = "28P01"
MAY_NOT: Final = "42501"
ONLY_READS: Final = "25006"
WAITED: Final = "55P03"
"""SQLSTATE of a lock that was not had in time."""
OWN: Final = UnicodeError | OverflowError
"""What is raised where text is none, or a number too large."""
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


def insert_into(connection: Connection, into: str, rows: Iterable[Sequence[object]]) -> bool:
    """Insert rows with the next message somebody waits for; False where they are too long for it.

    `into` is the table with its columns. Raises StorageError.
    """
    import psycopg  # noqa: PLC0415 -- an extra's
    from psycopg.adapt import Transformer  # noqa: PLC0415 -- as above

    from storage.server_dialect import driven  # noqa: PLC0415 -- as above

    server, size, command = driven(connection), 0, f"INSERT INTO {into} VALUES "  # noqa: S608 -- our own names
    literal, values = Transformer(server).as_literal, list[bytes]()
    for row in rows:
        values.append(b"(" + b", ".join(map(literal, row)) + b")")
        size += len(values[-1])
        if size > MESSAGE_MAX:
            return False
    try:
        server.asks(command)
        server.begin()
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure
    server.waiting += (command.encode() + b", ".join(values),)
    return True


def copy_into(connection: Connection, command: str, rows: Iterable[Sequence[object]]) -> None:
    """Run COPY FROM STDIN in a connection's transaction; raises StorageError."""
    import psycopg  # noqa: PLC0415 -- an extra's

    from storage.server_dialect import driven  # noqa: PLC0415 -- as above

    try:
        server = driven(connection)
        server.asks(command)
        server.begin()
        if server.waiting:
            server.execute(server.with_waiting())
        with server.cursor() as cursor, cursor.copy(command.encode()) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as failure:
        raise translated(connection.engine.url, failure) from failure


def server_time(db: Session) -> datetime:
    """Return the time of the server's own clock when this transaction began."""
    from storage.server_dialect import driven  # noqa: PLC0415 -- an extra's

    return datetime.fromisoformat(driven(db.connection()).told_at)


def translated(url: URL, failure: BaseException) -> StorageError:
    """Return what a driver's exception means; nothing of the rows is quoted, nor left in it."""
    from storage.server_dialect import AnswerLost  # noqa: PLC0415 -- the driver is an extra's

    name, state = shown(url), str(getattr(failure, "sqlstate", None) or "")
    if isinstance(failure, AnswerLost):
        return CommitUnknown(name)
    if state == NOT_LET_IN or NO_PASSWORD.search(str(failure)):
        return PasswordNeeded(name)
    said = getattr(getattr(failure, "diag", None), "message_primary", None)
    if said is None:
        return _unsaid(name, failure)
    failure.args = (said,)  # without the row that the server adds
    if state in {MAY_NOT, ONLY_READS}:
        return ReadOnly(f"the database {name} does not allow this to be written: {said}")
    if state == WAITED:
        return StorageError(
            f"another program writes to the database {name} for more than {LOCK_SECONDS} seconds"
        )
    unreachable = CUT.fullmatch(state)
    refused = StorageError(f"the database {name} refused: {said}")
    return DatabaseUnreachable(name, said) if unreachable else refused


def _unsaid(name: str, failure: BaseException) -> StorageError:
    """Return what an exception means of which the server says nothing.

    The line is cut, unless the driver refused to send something.
    """
    import psycopg  # noqa: PLC0415 -- an extra's

    told = next(iter(str(failure).strip().splitlines()), type(failure).__name__)
    if isinstance(failure, psycopg.ProgrammingError | psycopg.DataError | OWN):
        return StorageError(f"the database {name} refused: {told}")
    return DatabaseUnreachable(name, told)
