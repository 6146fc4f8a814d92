"""The engine for a database on a server: how it connects, and whom it refuses."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from storage.errors import StorageError
from storage.postgresql import NO_PASSWORD, checked_url, is_local
from storage.server_dialect import ServerConnection
from storage.server_transactions import begin, note

DRIVER_NAME: Final = "postgresql+cardquorum"
CONNECT_SECONDS: Final = 10
CUT_AFTER: Final = {
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A line on which nothing arrives any more is taken for cut after half a minute."""
VERSION_LEAST: Final = 140_000


def engine_for(
    url: URL, *, reads: str, brings: str, password: Callable[[], str] | None = None
) -> Engine:
    """Return the engine; `reads` and `brings` are the options of transactions that do so.

    `password` is asked once, where the server wants one and libpq's own files have none.
    """
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
            **_without_tls(url),
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

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", _require_server)
    event.listen(engine, "begin", partial(begin, reads, brings))
    event.listen(engine, "before_cursor_execute", note)
    return engine


def _require_server(connection: ServerConnection, _entry: ConnectionPoolEntry) -> None:
    """Refuse an old server and another encoding; raises StorageError."""
    version = connection.info.server_version
    encoding = connection.info.parameter_status("server_encoding")
    if version < VERSION_LEAST:
        raise StorageError(
            f"PostgreSQL {version // 10_000} is too old: {VERSION_LEAST // 10_000} or newer"
        )
    if encoding != "UTF8":
        raise StorageError(f"the database's encoding is {encoding}; it has to be UTF8")


def _without_tls(url: URL) -> dict[str, str]:
    """Return what saves a wait on this computer: TLS is tried where the server insists on it."""
    chosen = "sslmode" in url.query or "PGSSLMODE" in os.environ
    return {"sslmode": "allow"} if is_local(url) and not chosen else {}
