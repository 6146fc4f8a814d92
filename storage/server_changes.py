"""Hints that a server gives: LISTEN on a connection of its own, made anew where it was cut."""

import select
import threading
import time
from typing import Final, cast

import psycopg
from sqlalchemy import Engine

from storage.server_dialect import ServerConnection, ServerDialect

LISTENS_SECONDS: Final = 30.0
"""After so long without a hint the line is asked over: it may be dead without a word."""
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
                dialect.changed()
                told.set()
                _hear(connection, dialect, told, ended=ended)
        except (psycopg.Error, OSError):
            dialect.changed()
            told.set()
            ended.wait(AGAIN_SECONDS)


def _hear(
    connection: ServerConnection,
    dialect: ServerDialect,
    told: threading.Event,
    *,
    ended: threading.Event,
) -> None:
    heard = time.monotonic()
    while not ended.is_set():
        if time.monotonic() - heard > LISTENS_SECONDS:
            connection.execute("SELECT 1")
            heard = time.monotonic()
        if select.select([connection.fileno()], [], [], SLICE_SECONDS)[0]:
            heard = time.monotonic()
            connection.pgconn.consume_input()
            while connection.pgconn.notifies() is not None:
                dialect.changed()
                told.set()
            if connection.closed:
                return
