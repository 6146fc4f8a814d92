"""Where the custody book on a server ended when this home last saw it (`book.json`, mode 0600).

A book that is shorter, or another one at that place, was rolled back or forked: whoever runs the
server can do that, and no trigger there tells.
"""

import json
import re
from contextlib import suppress
from typing import Final, NamedTuple

from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker

from coordinator.errors import BookRolledBack, SettingsError, UsageError
from coordinator.files import write_private
from coordinator.foreign_json import read_json
from coordinator.home.settings import Home
from storage import custody
from storage.database import reading

FILE: Final = "book.json"
SIZE_MAX: Final = 4_096
NUMBER_MAX: Final = (1 << 31) - 1
HASH: Final = re.compile("[0-9a-f]{64}")


class End(NamedTuple):
    """The number of the last event of the book, and its hash in hex."""

    number: int
    head: str


def follow(home: Home, database: sessionmaker[Session]) -> None:
    """Hold the book against what this home saw, and keep how far it goes from now on.

    Raises BookRolledBack where it is shorter or another one.
    """
    seen = _seen(home)
    with reading(database).begin() as db:
        now = custody.hashes_at(db, seen.number if seen else 0)
    if seen is not None and now.at != bytes.fromhex(seen.head):
        raise BookRolledBack(seen.number, now.number)
    _keep(home, seen, End(now.number, now.head.hex()))
    event.listen(database, "after_commit", lambda session: _committed(home, session))


def forget(home: Home) -> None:
    """Forget what this home saw: a person compared the book's head with one on paper."""
    (home.folder / FILE).unlink(missing_ok=True)


def _committed(home: Home, session: Session) -> None:
    """Keep the last event that a transaction of this home added."""
    added = session.info.pop(custody.ADDED, None)
    if added is not None:
        number, head = added
        _keep(home, _seen(home), End(number, head.hex()))


def _keep(home: Home, seen: End | None, end: End) -> None:
    """Keep how far the book goes; where nothing can be written, what was seen before stays."""
    if end.number and (seen is None or end.number > seen.number):
        with suppress(UsageError):
            write_private(home.folder / FILE, (json.dumps(end._asdict()) + "\n").encode())


def _seen(home: Home) -> End | None:
    file = home.folder / FILE
    if not file.exists():
        return None
    try:
        with file.open("rb") as opened:
            kept = read_json(opened.read(SIZE_MAX))
    except (OSError, ValueError) as failure:
        raise SettingsError(f"{file} cannot be read: {failure}") from failure
    number = kept.get("number") if isinstance(kept, dict) else None
    head = kept.get("head") if isinstance(kept, dict) else None
    whole = isinstance(head, str) and HASH.fullmatch(head)
    if type(number) is not int or not 0 < number <= NUMBER_MAX or not whole:
        raise SettingsError(f"{file} does not say where the custody book ended")
    return End(number, str(head))
