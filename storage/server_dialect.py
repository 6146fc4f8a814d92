"""How SQLAlchemy talks to the server: in few messages, and with no answer to COMMIT lost.

Where the line is cut while a transaction commits, the server is asked by the transaction's number
whether it did, before anybody does the same again.
"""

import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, cast

import psycopg
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

LOOK_SECONDS: Final = 20.0
PAUSE_SECONDS: Final = 0.1
COMMITTED: Final = "committed"
RUNNING: Final = "in progress"
TIMELINE: Final = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"
"""What a server that took over from another counts anew: numbers of transactions mean others'."""
STATUS: Final = "SELECT pg_xact_status(%s::xid8)"
END: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE usename = current_user AND backend_xid = %s::xid8::xid"
)
"""Ends the session that still holds the transaction open: nobody else would for minutes."""


class AnswerLost(psycopg.OperationalError):
    """The line was cut while a transaction committed, and whether it did cannot be asked."""


class Begun(NamedTuple):
    """A transaction's number, and the timeline of the server that gave it."""

    number: str
    timeline: str


class ServerConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows the number of its transaction, and how to reach the server again."""

    begun: "Begun | None" = None
    again: "Callable[[], ServerConnection]"

    def commit(self) -> None:
        """Commit; raises OperationalError where it is known that nothing was, else AnswerLost."""
        begun, self.begun = self.begun, None
        try:
            super().commit()
        except psycopg.Error:
            if begun is None or not self.closed or not committed(self.again, begun):
                raise


def committed(connect: Callable[[], ServerConnection], begun: Begun) -> bool:
    """Ask the server whether a transaction committed, as soon as it answers; raises AnswerLost.

    A standby that took over cannot tell: it may have given the number to another transaction.
    """
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            with connect() as asking:
                if asking.execute(f"SELECT {TIMELINE}").fetchone() != (begun.timeline,):
                    break
                asking.execute(END, [begun.number])
                found = asking.execute(STATUS, [begun.number]).fetchone()
            if found is not None and found[0] != RUNNING:
                return bool(found[0] == COMMITTED)
        except psycopg.Error as failure:
            if time.monotonic() > until:
                raise AnswerLost(str(failure)) from failure
        time.sleep(PAUSE_SECONDS)
    raise AnswerLost("another server took over")


def driven(connection: Connection) -> ServerConnection:
    """Return the driver's connection below SQLAlchemy's."""
    return cast("ServerConnection", connection.connection.driver_connection)


class ServerDialect(PGDialect_psycopg):
    """PostgreSQL by psycopg, asked no more often than it has to be."""

    supports_statement_cache = True

    def connect(self, *words: Any, **named: Any) -> DBAPIConnection:  # noqa: ANN401 -- the driver's
        """Connect; a transaction begins where this program says so, not where the driver would."""
        connect = partial(ServerConnection.connect, *words, **named, autocommit=True)
        made = connect()
        made.again = connect
        return cast("DBAPIConnection", made)

    def initialize(self, connection: Connection) -> None:
        """Take what the server told while it was connected to, in place of five questions."""
        info = driven(connection).info
        version = info.server_version
        self.server_version_info = (version // 10_000, version % 10_000)
        self.default_schema_name = None
        self.default_isolation_level = "READ COMMITTED"
        self.supports_smallserial = self.supports_identity_columns = True
        self._supports_drop_index_concurrently = self._supports_jsonb_subscripting = True
        self.supports_virtual_generated_columns = self.server_version_info >= (18,)
        self._backslash_escapes = info.parameter_status("standard_conforming_strings") == "off"

    def execute_last(self, cursor: DBAPICursor, *given: Any, **named: Any) -> None:  # noqa: ANN401 -- the driver's
        """Execute; of several statements in one message the last one's rows are those."""
        super().do_execute(cursor, *given, **named)  # type: ignore[no-untyped-call]  # SQLAlchemy's
        while cursor.nextset():
            pass

    def stands(self, dbapi_connection: DBAPIConnection) -> bool:
        """Tell whether a connection stands, as far as that is known without asking the server.

        To one that is idle a server says nothing but that it ends it.
        """
        connection = cast("ServerConnection", dbapi_connection)
        return not (connection.closed or select.select([connection.fileno()], [], [], 0)[0])

    do_execute, do_ping = execute_last, stands  # the names under which SQLAlchemy calls them
