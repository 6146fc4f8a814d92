"""What was answered to a form, kept for a while: the browser is sent on to it, and asks for it.

So no page of its history is the answer to a form, which it could only show by sending that again.
"""

import secrets
import threading
from typing import Final, NamedTuple

from coordinator.web.access import Window
from coordinator.web.context import Page, Shown

PATH: Final = "/answered/"
KEPT_MAX: Final = 40


class Kept(NamedTuple):
    """An answer, the path and the page of the form it was given to, and whose it is."""

    shown: Shown
    at: str
    page: Page | None
    window: bytes


class Answers:
    """The last answers to forms, of all windows; may be asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}

    def keep(self, window: Window, shown: Shown, *, at: str, page: Page | None) -> str:
        """Keep an answer, and return its path; the oldest is forgotten."""
        number = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[number] = Kept(shown, at, page, window.key)
            while len(self._kept) > KEPT_MAX:
                del self._kept[next(iter(self._kept))]
        return f"{PATH}{number}"

    def of(self, window: Window, number: str) -> Kept | None:
        """Return an answer that was given in a window; None where it is not kept."""
        with self._lock:
            found = self._kept.get(number)
        return found if found is not None and found.window == window.key else None
