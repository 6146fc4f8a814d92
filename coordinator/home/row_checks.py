"""Stored rows, held against what operators stated of them when they changed each.

A row says nothing of what it held before: who wants it back needs a backup, or the paper.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.errors import UsageError
from coordinator.files import write_private
from coordinator.home import operators
from coordinator.home.settings import Home
from storage import row_statements, statements
from storage.database import VERSIONS
from storage.model.record import ROW

if TYPE_CHECKING:
    from storage.model import Statement

NAMED_BY: Final = ("label", "public_id", "name", "ref", "family")
AUDITED: Final = (
    *("branch_key", "card", "card_secret", "carrier", "cosigner", "descriptor_copy", "drill"),
    *("drill_proof", "holder", "item", "key", "location", "succession", "vault", "vault_branch"),
    "verification",
)
"""Tables from whose rows an audit tells what is dangerous."""
FILE: Final = "rows-held"
"""In the home: the digest of rows, and of what was stated of them, that were found right."""
SIZE_MAX: Final = 100
KNOWN: Final = "altered_rows"
"""In a session's info: what was found of the rows it reads."""
TAMPERED: Final = "somebody changed the database"


class _Row(NamedTuple):
    """A row as statements and people call it, and the digest of what it holds."""

    subject: str
    called: str
    digest: bytes


class Doubted(NamedTuple):
    """Sentences on rows: not as their operator left them, or left by one not approved here."""

    altered: list[str]
    unapproved: list[str]


class LeftRows:
    """How operators left each row, by what statements call it, told in the order they were made."""

    def __init__(self, names: Mapping[bytes, str]) -> None:
        self._names = names
        self._left: dict[str, Statement] = {}

    def hold(self, said: "Statement") -> None:
        """Take what a statement says of a row."""
        if said.act == ROW:
            self._left[said.subject] = said

    def altered(self, db: Session) -> list[str]:
        """Return a sentence on each row that is another one, gone, or of nobody.

        None where no row was stated yet.
        """
        if not self._left:
            return []
        return _held(_rows(db, row_statements.WATCHED), self._left, self._names).altered


def doubted(home: Home, db: Session) -> Doubted:
    """Return what is wrong with the rows an audit relies on.

    Only what was said last of each is looked at: that nothing was taken out is `known_heads`'
    work, and the whole is that of `custody verify`.
    """
    known: Doubted | None = db.info.get(KNOWN)
    if known is None or db.info.get(row_statements.CHANGED):
        stated = row_statements.are_stated(db)
        known = db.info[KNOWN] = _doubted(home, db) if stated else Doubted([], [])
    return known


def _doubted(home: Home, db: Session) -> Doubted:
    """Hold rows against what was stated; not again while all is as this home found it right."""
    names = operators.known(home)
    imprint = row_statements.imprint(db, AUDITED)
    held = imprint and sha256(b"".join([VERSIONS[-1].encode(), imprint, *sorted(names)])).digest()
    if held is not None and _kept(home) == held:
        return Doubted([], [])
    found = _compared(db, names)
    if held is not None and not any(found):
        with suppress(UsageError):  # a home that can only be read looks each time
            write_private(home.folder / FILE, held.hex().encode())
    return found


def _kept(home: Home) -> bytes | None:
    """Return the digest of the rows that this home found right; None where it keeps none."""
    try:
        with (home.folder / FILE).open("rb") as file:
            return bytes.fromhex(file.read(SIZE_MAX).decode("ascii"))
    except (OSError, ValueError):
        return None


def _compared(db: Session, names: Mapping[bytes, str]) -> Doubted:
    """Hold the rows against what was stated; in a file nobody else has a key of their own.

    Whoever writes a home's file has its key beside it, and a home that was restored has a new one.
    """
    rows, last = list(_rows(db, AUDITED)), statements.last_of(db, ROW, AUDITED)
    left = {subject: said for subject, said in last.items() if statements.holds(said)}
    for subject, digest in db.info.get(row_statements.CHANGED, {}).items():
        left.pop(subject, None)  # this transaction states it once it commits
        rows = [row for row in rows if (row.subject, row.digest) != (subject, digest)]
    found = _held(rows, left, names)
    return found._replace(unapproved=[]) if db.get_bind().dialect.name == "sqlite" else found


def _held(
    rows: Iterable[_Row], left: Mapping[str, "Statement"], names: Mapping[bytes, str]
) -> Doubted:
    """Hold rows against how they were left; tell of what is wrong, and of what is gone too."""
    found, there = Doubted([], []), set[str]()
    for row in rows:
        there.add(row.subject)
        said = left.get(row.subject)
        if said is None:
            found.altered.append(f"{row.called} was written by no operator: {TAMPERED}")
        elif said.digest == row_statements.GONE:
            who = _who(said, names)
            found.altered.append(f"{row.called} is there again, which {who} removed: {TAMPERED}")
        elif said.digest != row.digest:
            found.altered.append(f"{row.called} is not as {_who(said, names)} left it: {TAMPERED}")
        elif said.public_key not in names:
            found.unapproved.append(f"{row.called} is as {_who(said, names)} left it")
    for subject, said in left.items():
        if subject in there:
            continue
        if said.digest != row_statements.GONE:
            found.altered.append(f"{subject} is gone, which {_who(said, names)} left: {TAMPERED}")
        elif said.public_key not in names:
            found.unapproved.append(f"{subject} is gone, which {_who(said, names)} removed")
    return found


def _rows(db: Session, tables: Iterable[str]) -> Iterator[_Row]:
    for name in tables:
        for values in row_statements.rows(db, name):
            subject = row_statements.subject(name, values)
            known_by = next((values[each] for each in NAMED_BY if values.get(each)), None)
            called = f"{subject} ({known_by})" if isinstance(known_by, str) else subject
            yield _Row(subject, called, row_statements.digest(name, values))


def _who(said: "Statement", names: Mapping[bytes, str]) -> str:
    """Return who left a row, when, and where that is said."""
    name = names.get(said.public_key, f"{said.operator} (not approved here)")
    return f"{name} at {clock.text(said.said_at)} (statement {said.id})"
