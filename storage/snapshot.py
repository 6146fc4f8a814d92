"""What a transaction on a server reads: brought whole in its first message, and asked for here.

A verb asks eighty questions of tables that hold tens of rows; over a line each would cost a wait.
So the message that begins a transaction selects every table that is small, and what a session then
selects is answered by SQLite in memory, from the rows of that moment. Nothing outlives the
transaction. What it writes goes to the server, and what it wrote is brought again before it is next
asked for. Larger tables are brought together once one of them is asked for; those that are larger
still are asked for at the server.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
from psycopg.adapt import Loader
from sqlalchemy import ClauseElement, Connection, Engine, event
from sqlalchemy.orm import Mapper, Session, SessionTransaction
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.sql.visitors import iterate

from storage.errors import StorageError
from storage.postgresql import translated
from storage.prefetched import TABLES, Opening, Rows, Snapshot
from storage.server_dialect import ServerConnection, driven
from storage.sessions import Held

if TYPE_CHECKING:
    from storage.server_dialect import ServerDialect

SIZE_MAX: Final = 128 * 1024
"""A table that takes more bytes of the server's disk than this is brought when it is needed."""
WHOLE_MAX: Final = 1024 * 1024
"""One that takes more than this is not brought."""
SIZE: Final = "pg_relation_size(oid) + coalesce(pg_relation_size(reltoastrelid), 0)"
"""Rows, and values too long for them; what lies beside them is not worth a look at the disk."""
SMALL: Final = (
    f"SELECT name, size <= {SIZE_MAX} FROM (SELECT relname::text AS name, {SIZE} AS size"  # noqa: S608 -- our own names
    f" FROM pg_class WHERE relkind = 'r' AND relname = ANY ('{{{','.join(TABLES)}}}')"
    " AND pg_table_is_visible(oid) AND has_table_privilege(oid, 'SELECT') OFFSET 0) AS found"
    f" WHERE size <= {WHOLE_MAX} ORDER BY 1"
)
"""Asks which tables may be brought, and whether each is small."""
KEY: Final = " INTEGER PRIMARY KEY"
COLUMN: Final = re.compile("[a-z][a-z0-9_]*")
COPIES: Final = hasattr(sqlite3.Connection, "deserialize")
"""Whether this SQLite copies a database in memory: five times as fast as making its tables."""
MIRROR: Final = "mirror"
"""In a session's info: the connection to what its transaction brought."""


class Moment(Loader):
    """Reads a moment as SQLite keeps one: UTC, six digits of a second, no zone."""

    def load(self, data: Any) -> str:  # noqa: ANN401 -- a buffer
        """Return the text; what is no such moment stays as it is, and is refused when read."""
        found = bytes(data).decode()
        plain = found.removesuffix("+00")
        whole, _, part = plain.partition(".")
        return f"{whole}.{part:0<6}" if plain != found else found


def bring(
    connection: ServerConnection,
    before: str,
    tables: Sequence[str],
    *,
    after: str,
    needed: Sequence[str] = (),
) -> list[Rows]:
    """Bring tables between other statements, in one message; return what those before returned.

    Keeps the tables as the connection's snapshot, `needed` are larger ones. The last of what is
    returned names those that are small now. That is asked last: a table whose rows were withheld
    because others made it larger meanwhile is then told as large, and not taken for empty.
    """
    wanted = [*tables, *needed]
    sizes = [SIZE_MAX] * len(tables) + [WHOLE_MAX] * len(needed)
    message = "; ".join([before, *map(_select, wanted, sizes), SMALL]) + after
    *told, small = results(connection, message)
    first, found = told[: len(told) - len(wanted)], told[len(told) - len(wanted) :]
    fits = {name: is_small or name in needed for name, is_small in small.rows}
    brought = {n: rows for n, rows in zip(wanted, found, strict=True) if fits.get(n)}
    connection.snapshot = Snapshot(
        brought, later=[name for name, is_small in small.rows if not is_small]
    )
    return [*first, small]


def _select(name: str, most: int) -> str:
    """Return what brings a table, no row of it where its rows alone became larger than that."""
    small = f"SELECT pg_relation_size('\"{name}\"'::regclass) <= {most}"
    return f'SELECT * FROM "{name}" WHERE ({small})'  # noqa: S608 -- our own names


def names(told: Rows) -> tuple[str, ...]:
    """Return the names that `SMALL` found."""
    return tuple(name for name, small in told.rows if small)


def results(connection: ServerConnection, statements: str) -> Iterator[Rows]:
    """Run statements in one message; yield what each of those returned that return rows."""
    with connection.cursor() as cursor:
        cursor.adapters.register_loader("timestamptz", Moment)
        cursor.execute(connection.with_waiting(statements.encode()))
        more: bool | None = True
        while more:
            found = cursor.pgresult
            if found is not None and found.nfields:
                fields = (found.fname(number) or b"" for number in range(found.nfields))
                yield Rows([each.decode() for each in fields], cursor.fetchall())
            more = cursor.nextset()


class Served(Held):
    """A session on a server; what it selects is answered from its transaction's snapshot."""

    def bound(
        self,
        mapper: Any = None,  # noqa: ANN401 -- SQLAlchemy's own
        *,
        clause: ClauseElement | None = None,
        **named: Any,  # noqa: ANN401 -- SQLAlchemy's own
    ) -> Engine | Connection:
        """Return who answers a statement."""
        if isinstance(clause, SelectBase) and (mirror := self._mirror(clause)) is not None:
            return mirror
        return super().get_bind(mapper, clause=clause, **named)

    get_bind = bound  # the name under which SQLAlchemy calls it

    def _mirror(self, clause: SelectBase) -> Connection | None:
        """Return what answers a SELECT here, None where the server has to."""
        server = self.connection()
        snapshot = driven(server).snapshot
        if snapshot is None:
            return None
        mirror: Connection | None = self.info.get(MIRROR)
        if mirror is None:
            mirror = self.info[MIRROR] = cast("ServerDialect", server.dialect).mirrors.connect()
            mirror.begin()  # so the session commits the server's transaction alone
            _fill(mirror, snapshot)
        if snapshot.large or snapshot.stale:
            asked = tables_of(clause)
            if asked & snapshot.large.intersection(snapshot.later):
                self._bring_later(mirror, snapshot)
            if again := snapshot.to_bring(asked):  # one wait for all, whatever is asked next
                _put(mirror, self._brought(again))
            if asked & snapshot.large:
                return None
        return mirror

    def _bring_later(self, mirror: Connection, snapshot: Snapshot) -> None:
        """Bring the tables that are neither small nor large, all in one message."""
        found = self._brought(sorted(snapshot.later & snapshot.large))
        with _refusing():
            _make(_raw(mirror), [(name, rows.columns) for name, rows in found.items()])
        _put(mirror, found)
        snapshot.add(found)
        server = driven(self.connection())
        dialect = cast("ServerDialect", self.connection().dialect)
        dialect.needed = tuple(sorted(snapshot.later))
        if server.begun is None and not snapshot.large:  # who reads next goes on with this moment
            dialect.first = Opening(server.told_at, snapshot.brought)

    def _brought(self, tables: Sequence[str]) -> dict[str, Rows]:
        """Return the rows of tables as the server has them now."""
        server = self.connection()
        selects = "; ".join(f'SELECT * FROM "{name}"' for name in tables)  # noqa: S608 -- our own names
        try:
            return dict(zip(tables, results(driven(server), selects), strict=True))
        except psycopg.Error as failure:
            raise translated(server.engine.url, failure) from failure


@event.listens_for(Served, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    """Forget what was brought once the transaction ended."""
    if transaction.parent is None and (mirror := session.info.pop(MIRROR, None)) is not None:
        mirror.close()


def _fill(mirror: Connection, snapshot: Snapshot) -> None:
    """Put all that was brought into an empty database in memory; what several read, once."""
    raw, opening = _raw(mirror), snapshot.opening
    if opening is not None and opening.image:
        raw.deserialize(opening.image)
        return
    with _refusing():
        tables = tuple((name, tuple(rows.columns)) for name, rows in snapshot.brought.items())
        if COPIES:
            raw.deserialize(_empty(tables))
        else:
            _make(raw, tables)
    _put(mirror, {name: found for name, found in snapshot.brought.items() if found.rows})
    if opening is not None and COPIES:
        opening.image = raw.serialize()


def _put(mirror: Connection, tables: Mapping[str, Rows]) -> None:
    """Put rows in place of those that tables had; raises StorageError where SQLite takes none."""
    raw = _raw(mirror)
    with _refusing():
        raw.execute("BEGIN")
        for name, (columns, rows) in tables.items():
            places = ", ".join("?" * len(columns))
            raw.execute(f'DELETE FROM "{name}"')  # noqa: S608 -- our own names
            raw.executemany(f'INSERT INTO "{name}" VALUES ({places})', rows)  # noqa: S608 -- as above
        raw.execute("COMMIT")


def _raw(mirror: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", mirror.connection.driver_connection)


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise StorageError where SQLite takes no such table or row."""
    try:
        yield
    except (sqlite3.Error, OverflowError, ValueError) as failure:
        raise StorageError(f"the rows of the database cannot be read: {failure}") from failure


@cache
def _empty(tables: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """Return a database with these tables, each with its columns, as SQLite copies it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        _make(made, tables)
        return made.serialize()


def _make(raw: sqlite3.Connection, tables: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Make tables of the server's, whose columns are called as its owner called them."""
    raw.execute("BEGIN")
    for name, columns in tables:
        if not all(map(COLUMN.fullmatch, columns)):
            raise StorageError(f"table {name} of the database has other columns than its version")
        fields = ", ".join(f'"{each}"{KEY if each == "id" else ""}' for each in columns)
        raw.execute(f'CREATE TABLE "{name}" ({fields})')
    raw.execute("COMMIT")


def tables_of(clause: ClauseElement) -> set[str]:
    """Return the tables a statement asks, those too that its nouns bring along."""
    found: set[str] = set()
    for each in iterate(clause):
        owner: Any = each if each.__visit_name__ == "table" else getattr(each, "table", None)
        while owner is not None and not isinstance(owner, SelectBase) and hasattr(owner, "element"):
            owner = owner.element
        if isinstance(owner, SelectBase):
            found |= tables_of(owner)
        elif owner is not None:
            found.add(str(owner.name))
        entity = each._annotations.get("parententity")  # noqa: SLF001 -- told nowhere else
        if entity is not None:
            found |= _joined(entity.mapper)
    return found


@cache
def _joined(mapper: Mapper[Any]) -> frozenset[str]:
    """Return the tables that one query for a noun asks."""
    along = (each.mapper for each in mapper.relationships if each.lazy == "joined")
    own = {str(table.name) for table in mapper.tables}
    return frozenset(own.union(*map(_joined, along)))
