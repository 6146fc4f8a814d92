"""Hints that a server gives: LISTEN on a connection of its own, made anew where it was cut."""

import select
import threading
from typing import Final, cast

import psycopg
from sqlalchemy import Engine

from storage.server_dialect import ServerConnection, ServerDialect

CHANNEL: Final = "cardquorum"
"""What the triggers of the schema notify."""
AGAIN_SECONDS: Final = 2.0
SLICE_SECONDS: Final = 0.2


def listen(engine: Engine, told: threading.Event, ended: threading.Event) -> None:
    """Tell of each hint until it is ended; a line that was cut may have cost one, so it tells that.

    A standby gives none, and neither does a server that is away: who waits looks without one.
    """
    dialect = cast("ServerDialect", engine.dialect)
    while not ended.is_set():
        try:
            with dialect.again() as connection:
                connection.execute(f"LISTEN {CHANNEL}".encode())
                dialect.first = None
                told.set()
                _hear(connection, dialect, told, ended=ended)
        except (psycopg.Error, OSError):
            dialect.first = None
            told.set()
            ended.wait(AGAIN_SECONDS)


def _hear(
    connection: ServerConnection,
    dialect: ServerDialect,
    told: threading.Event,
    *,
    ended: threading.Event,
) -> None:
    while not ended.is_set():
        if select.select([connection.fileno()], [], [], SLICE_SECONDS)[0]:
            connection.pgconn.consume_input()
            while connection.pgconn.notifies() is not None:
                dialect.first = None
                told.set()
            if connection.closed:
                return
