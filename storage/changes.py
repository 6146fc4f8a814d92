"""That others changed something: a hint, which says nothing but that it is time to look again.

A server tells it by NOTIFY (`storage/server_changes.py`), with an id and nothing else; a file is
asked for the number of its last change. Who waits for hints looks now and then without one, too:
none is promised.
"""

import sqlite3
import threading
from contextlib import closing, suppress
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from storage.errors import StorageError

SLICE_SECONDS: Final = 0.2
JOIN_SECONDS: Final = 3.0


class Changes:
    """Listens in a thread of its own, from the first time somebody waits until it is closed."""

    def __init__(self, database: sessionmaker[Session]) -> None:
        """Keep which database is meant; nothing is asked yet."""
        self._engine: Engine = database.kw["bind"]
        self._told = threading.Event()
        self._ended = threading.Event()
        self._begun = threading.Lock()
        self._thread: threading.Thread | None = None

    def wait(self, seconds: float) -> bool:
        """Tell whether there was a hint since this was last asked; wait so long for one.

        False at once where it is closed.
        """
        with self._begun:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._listen, daemon=True)
                self._thread.start()
        found = not self._ended.is_set() and self._told.wait(seconds)
        self._told.clear()
        return found and not self._ended.is_set()

    def close(self) -> None:
        """Listen no more, and let go who waits."""
        with self._begun:
            self._ended.set()
        self._told.set()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def _listen(self) -> None:
        if self._engine.dialect.name == "sqlite":
            _ask_file(self._engine, self._told, self._ended)
        else:
            from storage.server_changes import listen  # noqa: PLC0415 -- an extra's

            listen(self._engine, self._told, self._ended)


def _ask_file(engine: Engine, told: threading.Event, ended: threading.Event) -> None:
    """Tell of each commit that another connection made, as long as the file can be asked."""
    with suppress(StorageError, sqlite3.Error), closing(engine.raw_connection()) as connection:
        seen: object = None
        while True:
            with closing(connection.cursor()) as cursor:
                cursor.execute("PRAGMA data_version")
                now = cursor.fetchone()
            if seen not in {None, now}:
                told.set()
            seen = now
            if ended.wait(SLICE_SECONDS):
                return
