"""What others change in the home's database, told to who looks at the page."""

import threading
from contextlib import suppress
from typing import Final

from coordinator.errors import CoordinatorError
from coordinator.web.events import HOME, Bulletin
from coordinator.workspace.opened_home import OpenedHome
from storage.changes import Changes
from storage.errors import StorageError

LOOK_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 3.0


class HomeWatch:
    """Waits for hints in a thread of its own; what the database did not take is delivered."""

    def __init__(self, opened: OpenedHome, bulletin: Bulletin) -> None:
        """Watch the database of this home."""
        self._opened = opened
        self._bulletin = bulletin
        self._changes = Changes(opened.database)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ended.set()
        self._changes.close()
        self._thread.join(JOIN_SECONDS)

    def _watch(self) -> None:
        while not self._ended.is_set():
            if self._changes.wait(LOOK_SECONDS):
                with suppress(StorageError, CoordinatorError, OSError):
                    self._opened.deliver()  # else it stays kept, and is said where things stand
                self._bulletin.post(HOME)
