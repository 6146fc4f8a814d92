"""Who may see the page: a link opens it once, a window stays open until nobody uses it.

A window is a browser that holds a cookie. The first link opens one; whoever comes with another
link while somebody sits at a window waits until that is allowed there.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

LINK_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 900.0
PRESENT_SECONDS: Final = 10.0
"""How long a window that says nothing still counts as one that somebody sits at."""
WINDOWS_MAX: Final = 12
CALLERS_MAX: Final = 3
FORMS_MAX: Final = 20_000

Clock = Callable[[], float]


@dataclass
class Window:
    """A browser that was let in; `forms` are those it sent already."""

    key: bytes
    used: float
    seen: float
    forms: set[str] = field(default_factory=set)
    streams: int = 0


@dataclass(frozen=True)
class Caller:
    """A browser with a good link that waits to be let in, known to both sides by a number."""

    number: str
    since: float


class Entered(NamedTuple):
    """What came of a link: the cookie's value, and a caller's number where it has to wait."""

    cookie: str
    number: str | None


class TooMany(Exception):
    """As many windows are open as may be."""


class Windows:
    """The windows of one running page, its links, and who waits for being let in."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._links: dict[bytes, float] = {}
        self._windows: dict[bytes, Window] = {}
        self._callers: dict[bytes, Caller] = {}

    def new_link(self) -> str:
        """Return what opens the page once, within a minute; an older one opens it no more."""
        link = secrets.token_urlsafe(32)
        with self._lock:
            self._links = {_name(link): self._clock() + LINK_SECONDS}
        return link

    def enter(self, link: str) -> Entered | None:
        """Use a link up; None where it is not, or no longer, one. Raises TooMany."""
        now = self._clock()
        with self._lock:
            until = self._links.pop(_name(link), 0.0)
            if until < now:
                return None
            cookie = secrets.token_urlsafe(32)
            self._expire(now)
            if not any(now - each.seen < PRESENT_SECONDS for each in self._windows.values()):
                self._windows.clear()
                self._callers.clear()
                self._windows[_name(cookie)] = _window(now)
                return Entered(cookie, None)
            if len(self._windows) >= WINDOWS_MAX:
                raise TooMany
            if len(self._callers) >= CALLERS_MAX:
                return None
            caller = Caller(f"{secrets.randbelow(9000) + 1000}", now)
            self._callers[_name(cookie)] = caller
            return Entered(cookie, caller.number)

    def window(self, cookie: str | None, *, used: bool) -> Window | None:
        """Return the window of a cookie; `used` tells that a person did something there."""
        if cookie is None:
            return None
        now = self._clock()
        with self._lock:
            self._expire(now)
            found = self._windows.get(_name(cookie))
            if found is not None:
                found.seen = now
                found.used = now if used else found.used
            return found

    def caller(self, cookie: str | None) -> Caller | None:
        """Return the caller of a cookie, who is not let in yet."""
        with self._lock:
            self._expire(self._clock())
            return None if cookie is None else self._callers.get(_name(cookie))

    def callers(self) -> list[Caller]:
        """Return who waits for being let in."""
        with self._lock:
            self._expire(self._clock())
            return list(self._callers.values())

    def answer(self, number: str, *, allowed: bool) -> None:
        """Let a caller in, or send it away."""
        with self._lock:
            for name, caller in list(self._callers.items()):
                if caller.number == number:
                    del self._callers[name]
                    if allowed and len(self._windows) < WINDOWS_MAX:
                        self._windows[name] = _window(self._clock())

    def close(self) -> None:
        """Close every window: whoever wants one needs another link."""
        with self._lock:
            self._windows.clear()
            self._callers.clear()
            self._links.clear()

    def _expire(self, now: float) -> None:
        self._windows = {
            name: each for name, each in self._windows.items() if now - each.used < IDLE_SECONDS
        }
        self._callers = {
            name: each for name, each in self._callers.items() if now - each.since < LINK_SECONDS
        }


def new_form(window: Window) -> str:
    """Return what a form of this window carries; it is good for sending it once."""
    number = secrets.token_urlsafe(9)
    return f"{number}.{_signed(window, number)}"


class FormUsed(Exception):
    """A form was sent a second time; what it asked for was done the first time."""


def use_form(window: Window, token: str) -> bool:
    """Use a form's token up; False where it is none of this window, FormUsed where it was used."""
    number, _, signature = token.partition(".")
    if not hmac.compare_digest(_signed(window, number).encode(), signature.encode()):
        return False
    if number in window.forms:
        raise FormUsed
    if len(window.forms) >= FORMS_MAX:
        return False
    window.forms.add(number)
    return True


def _window(now: float) -> Window:
    return Window(secrets.token_bytes(32), now, now)


def _name(secret: str) -> bytes:
    """Return what a secret is looked up by, so that no comparison tells how much of it is right."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _signed(window: Window, number: str) -> str:
    return hmac.new(window.key, number.encode("utf-8", "replace"), "sha256").hexdigest()
