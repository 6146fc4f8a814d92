"""How SQLAlchemy talks to the server: in few messages, and with no answer to COMMIT lost.

Where the line is cut while a transaction commits, the server is asked by the transaction's number
whether it did, before anybody does the same again.
"""

import select
import time
from collections.abc import Callable, Generator, Sequence
from functools import cached_property, partial
from typing import Any, Final, NamedTuple, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import NullPool

from storage.errors import StorageError
from storage.prefetched import ASKS, Opening, Snapshot

LOOK_SECONDS: Final = 20.0
PAUSE_SECONDS: Final = 0.1
SLICE_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 30.0
"""How long nothing may come of a server that is asked: longer than it waits for a lock."""
IDLE_SECONDS: Final = 2.0
"""How long a connection is trusted to stand without asking over it."""
COMMITTED: Final = "committed"
RUNNING: Final = "in progress"
READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
COMMIT: Final = b"COMMIT"
ROLLBACK: Final = b"ROLLBACK"
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


T = TypeVar("T")


class Begun(NamedTuple):
    """A transaction's number, and the timeline of the server that gave it."""

    number: str
    timeline: str


class ServerConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows its transaction, and how to reach the server again.

    `first` is what begins it where nothing was asked in it yet, `begun` which one may write,
    `snapshot` what it brought, `waiting` what it writes with the next message; `ended` where one
    that only reads has ended already, because it brought all there is; `left` where nobody waited
    for the end of one that wrote nothing.
    """

    first: str = ""
    begun: Begun | None = None
    snapshot: Snapshot | None = None
    waiting: tuple[bytes, ...] = ()
    wrote: bool = False
    ended: bool = False
    left: bool = False
    patient: bool = False
    """Whether it may take the server as long as it likes to answer."""
    used_at: float = 0.0
    told_at: str = ""
    """The server's time when the transaction began, as it writes one."""
    again: "Callable[[], ServerConnection]"
    changed: Callable[[], None]
    """Told once something may have been written."""

    def wait(
        self,
        gen: Generator[Any, Any, T],
        interval: float = SLICE_SECONDS,
        timeout: float | None = None,
    ) -> T:
        """Wait for an answer; raises OperationalError, and closes, where nothing comes any more.

        A line may be dead that still takes what is sent: neither side of TCP then notices.
        """
        return super().wait(gen if self.patient else self._answered(gen), interval, timeout)

    def _answered(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Pass on what a generator waits for, as long as something comes."""
        until = time.monotonic() + ANSWER_SECONDS
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    until = time.monotonic() + ANSWER_SECONDS
                elif time.monotonic() > until:
                    raise self._given_up()
                wanted = gen.send(ready)
        except StopIteration as end:
            return cast("T", end.value)

    def _given_up(self) -> psycopg.OperationalError:
        """Close the connection; returns why."""
        self.pgconn.finish()
        return psycopg.OperationalError(f"no answer within {ANSWER_SECONDS:.0f} seconds")

    def asks(self, statement: str) -> None:
        """Take note of a statement before it is sent."""
        self.wrote = self.wrote or not ASKS.match(statement)
        if self.snapshot is not None:
            self.snapshot.note(statement)
        if self.ended:
            self.ended = False
            self.execute(READING)

    def begin(self) -> None:
        """Begin the transaction if nothing was asked in it yet."""
        if self.first:
            first, self.first = self.first, ""
            with self.cursor() as cursor:
                cursor.execute(first.encode())
                self.take(cursor)

    def take(self, cursor: "psycopg.Cursor[Any]") -> None:
        """Take what a message brings that begins: who answers, when, and which transaction it is.

        Raises StorageError where another process answers than the one that was connected to.
        """
        while cursor.description is None or len(cursor.description) == 1:
            cursor.nextset()
        self.takes(cursor.fetchone() or ())

    def takes(self, told: Sequence[Any]) -> None:
        """Take the same from its row."""
        process, self.told_at, *number = told
        self.begun = Begun(*number) if number else None
        self.require_no_pooler(process)

    def require_no_pooler(self, process: int) -> None:
        """Raise StorageError where another process answers than the one that was connected to."""
        if process != self.info.backend_pid:
            raise StorageError(
                "a connection pooler stands before the database: give the server's own address"
            )

    def cursor(self, *words: Any, **named: Any) -> Any:  # noqa: ANN401 -- the driver's
        """Return what a statement is executed with."""
        self.settle()
        return super().cursor(*words, **named)

    def with_waiting(self, *statements: bytes) -> bytes:
        """Return one message with what waits to be written, and what is to follow it."""
        message, self.waiting = b"; ".join([*self.waiting, *statements]), ()
        return message

    def settle(self) -> None:
        """Take the answer that nobody waited for."""
        while self.left:
            while self.pgconn.is_busy():
                if not select.select([self.fileno()], [], [], ANSWER_SECONDS)[0]:
                    raise self._given_up()
                self.pgconn.consume_input()
            self.left = self.pgconn.get_result() is not None

    def rollback(self) -> None:
        """Undo the transaction; where the line is gone the server has."""
        self._forget()
        if self.left:
            return
        try:
            super().rollback()
        except psycopg.OperationalError:
            if not self.closed:
                raise

    def commit(self) -> None:
        """Commit; raises OperationalError where it is known that nothing was, else AnswerLost.

        Where nothing was written nobody waits for that.
        """
        begun, wrote, last = self.begun, self.wrote, self.with_waiting(COMMIT)
        self._forget()
        try:
            if self.pgconn.transaction_status == TransactionStatus.INTRANS and not wrote:
                self.pgconn.send_query(ROLLBACK)
                self.pgconn.flush()
                self.left = True
            elif self.pgconn.transaction_status != TransactionStatus.IDLE:
                self.execute(last)
        except psycopg.Error:
            if not self.closed:
                super().rollback()  # what waited was refused before the server came to COMMIT
                raise
            if begun is None or not committed(self.again, begun):
                raise
        finally:
            if wrote:
                self.changed()

    def _forget(self) -> None:
        self.first, self.begun, self.snapshot, self.waiting = "", None, None, ()
        self.wrote = self.ended = False
        self.used_at = time.monotonic()


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


def _refused(context: ExceptionContext) -> StorageError:
    """Say what SQLite's driver refuses as it is said of a file."""
    return StorageError(f"the database refused: {context.original_exception}")


class ServerDialect(PGDialect_psycopg):
    """PostgreSQL by psycopg, asked no more often than it has to be."""

    supports_statement_cache = True
    supports_sane_rowcount = supports_sane_multi_rowcount = False
    small: tuple[str, ...] | None = None
    """The tables that transactions bring (`storage.snapshot`), as it was last told."""
    needed: tuple[str, ...] = ()
    """Larger ones, once one of them was asked for: those to come bring them at once."""
    first: Opening | None = None
    changes: int = 0
    """How often something changed that was brought before."""
    again: Callable[[], ServerConnection]
    """Connects beside the pool, as was connected last."""

    @cached_property
    def mirrors(self) -> Engine:
        """Return where what transactions brought is asked: each connection is one in memory."""
        engine = create_engine(
            "sqlite://",
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
        event.listen(engine, "handle_error", _refused)
        return engine

    def changed(self) -> None:
        """Have nobody go on with what was brought, nor with what is on its way."""
        self.changes += 1
        self.first = None

    def connect(self, *words: Any, **named: Any) -> DBAPIConnection:  # noqa: ANN401 -- the driver's
        """Connect; a transaction begins where this program says so, not where the driver would."""
        connect = partial(ServerConnection.connect, *words, **named, autocommit=True)
        made = connect()
        made.cursor_factory = psycopg.ClientCursor
        self.again = made.again = connect
        made.changed = self.changed
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

    def execute_last(
        self,
        cursor: DBAPICursor,
        statement: str,
        *given: Any,  # noqa: ANN401 -- parameters and context, SQLAlchemy's own
    ) -> None:
        """Execute; a change that returns no rows goes with the next message somebody waits for.

        Of several statements in one message the last one's rows are those.
        """
        parameters, context, *_ = *given, None, None
        asking = cast("psycopg.Cursor[Any]", cursor)
        server = cast("ServerConnection", asking.connection)
        if not isinstance(asking, psycopg.ClientCursor):
            server.begin()
            asking.execute(statement.encode(), parameters)  # rows that come in parts
            return
        text = asking.mogrify(statement, parameters).encode()
        changes = context is not None and (context.isinsert or context.isupdate or context.isdelete)
        if changes and server.begun is not None and " RETURNING " not in statement:
            server.waiting += (text,)
            return
        first, server.first = server.first.encode(), ""
        asking.execute(b"; ".join(each for each in (first, server.with_waiting(text)) if each))
        if first:
            server.take(asking)
        while asking.nextset():
            pass

    def stands(self, dbapi_connection: DBAPIConnection) -> bool:
        """Tell whether a connection stands; one that was just used is asked nothing over.

        To one that is idle a server says nothing but that it ends it.
        """
        connection = cast("ServerConnection", dbapi_connection)
        try:
            connection.settle()
            if connection.closed or select.select([connection.fileno()], [], [], 0)[0]:
                return False
            if time.monotonic() - connection.used_at > IDLE_SECONDS:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def execute_each(
        self,
        cursor: DBAPICursor,
        statement: str,
        *given: Any,  # noqa: ANN401 -- as above
    ) -> None:
        """Execute a statement for each of several parameters."""
        parameters, context, *_ = *given, None
        for each in parameters:
            self.execute_last(cursor, statement, each, context)

    # The names under which SQLAlchemy calls them; it tells parameters and context by their places.
    do_execute, do_executemany = execute_last, execute_each  # type: ignore[assignment]  # by place
    do_ping = stands
