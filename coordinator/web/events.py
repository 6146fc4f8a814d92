"""What has changed, by name and number alone: browsers ask for it again, nothing else is sent.

What others change in the home's database is told, too.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from coordinator.errors import CoordinatorError
from coordinator.workspace.opened_home import OpenedHome
from storage.changes import Changes
from storage.errors import StorageError

SLICE: Final = 1.0
"""How often a stream that has nothing to say looks whether its window is still open."""
HOME_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 3.0
CARDS: Final = "cards"
TASK: Final = "task"
HOME: Final = "home"
WINDOW: Final = "window"


class Bulletin:
    """Counts changes by topic and wakes whoever listens; may be told from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter({CARDS: 0, TASK: 0, HOME: 0, WINDOW: 0})
        self._wake: set[Callable[[], None]] = set()
        self.closed = False

    def post(self, topic: str) -> None:
        """Tell that something changed."""
        with self._lock:
            self._numbers[topic] += 1
            waiting = list(self._wake)
        for wake in waiting:
            wake()

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self.post(WINDOW)

    def numbers(self) -> dict[str, int]:
        """Return how often each topic changed."""
        with self._lock:
            return dict(self._numbers)

    async def stream(self, is_open: Callable[[], bool]) -> AsyncIterator[str]:
        """Yield each change as a server-sent event, while `is_open` holds."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._wake.add(wake)
        try:
            sent: dict[str, int] = {}
            while is_open() and not self.closed:
                news.clear()
                now = self.numbers()
                for topic, number in now.items():
                    if sent.get(topic) != number:
                        yield f"data: {topic} {number}\n\n"
                sent = now
                try:
                    await asyncio.wait_for(news.wait(), SLICE)
                except TimeoutError:
                    yield ": \n\n"
            yield "event: end\ndata: end\n\n"
        finally:
            with self._lock:
                self._wake.discard(wake)


class HomeWatch:
    """Waits for hints in a thread of its own; what the database did not take is delivered."""

    def __init__(self, opened: OpenedHome, bulletin: Bulletin) -> None:
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
            if self._changes.wait(HOME_SECONDS):
                with suppress(StorageError, CoordinatorError, OSError):
                    self._opened.deliver()  # else it stays kept, and is said where things stand
                self._bulletin.post(HOME)
