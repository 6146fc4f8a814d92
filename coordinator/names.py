"""Names that people give, and ids that the program gives."""

import re
import secrets
from collections.abc import Iterable

from coordinator.errors import UsageError

LENGTH_MAX = 40
NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{LENGTH_MAX}}}")
ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_LENGTH = 8


def checked_name(name: str) -> str:
    """Return the name; raises UsageError unless it is 1 to 40 letters, digits, _ or -."""
    if not NAME.fullmatch(name):
        raise UsageError(f"the name {name!r} is not 1 to 40 letters, digits, _ or -")
    return name


def require_known(what: str, given: str, known: Iterable[str]) -> None:
    """Raise UsageError unless what was given is one of the words known."""
    words = list(known)
    if given not in words:
        raise UsageError(f"unknown {what} {given!r}; expected one of {', '.join(words)}")


def fresh_id() -> str:
    """Return a new public id: eight letters and digits that are not mistaken for one another."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
