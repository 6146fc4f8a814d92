"""The passphrase of a sealed home: from standard input or typed without echo, used here only."""

import io
from typing import TYPE_CHECKING

from cards.pin import Secret
from coordinator import approvals
from coordinator.cli.attendant import ask_hidden
from coordinator.cli.desk import Desk
from coordinator.errors import ApprovalMismatch, PassphraseMissing, UsageError
from coordinator.files import read_secret_lines
from storage import sealing
from storage.private import opener_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

PASSPHRASE, NEW_PASSPHRASE = "home.passphrase", "home.new-passphrase"
LENGTH_MIN = 8


def take_from_stdin(desk: Desk, *, cards: bool) -> None:
    """Read standard input; what is not this home's passphrase is left for the cards' PINs.

    Raises UsageError on a second passphrase, and on other lines where no card is asked.
    """
    rest: list[bytes] = []
    for number, line in enumerate(read_secret_lines(), 1):
        left, equals, right = line.partition(b"=")
        name = left.strip().decode("utf-8", "replace")
        ours = bool(equals) and name in {PASSPHRASE, NEW_PASSPHRASE}
        if ours and name in desk.passphrases:
            raise UsageError(f"line {number} of standard input gives the same secret once more")
        if not ours and not cards and line.strip():
            raise UsageError(f"line {number} of standard input names no secret wanted here")
        if ours:
            desk.passphrases[name] = desk.closing.enter_context(Secret(right))
        rest.append(b"" if ours else line)
    desk.stdin = io.BytesIO(b"\n".join(rest))


def unlock_given(desk: Desk, database: "sessionmaker[Session]") -> None:
    """Open the seal with the passphrase from standard input, where there are both."""
    given = desk.passphrases.get(PASSPHRASE)
    if given is not None and _locked(database):
        _refuse_other_seal(desk, database)
        sealing.unlock(database, given.reveal())


def unlock_asking(desk: Desk) -> None:
    """Open the seal with a passphrase typed at the terminal; without one it stays closed."""
    if desk.stdin is not None or not _locked(desk.database):
        return
    _refuse_other_seal(desk, desk.database)
    typed = ask_hidden("passphrase of places and people (nothing: they stay sealed): ")
    if typed:
        sealing.unlock(desk.database, typed)


def seal(desk: Desk) -> bool:
    """Seal the home under a new passphrase; returns False where only scrubbing was left to do."""
    with desk.database.begin() as db:
        sealed, scrubbed = sealing.is_sealed(db), sealing.is_scrubbed(db)
    if sealed and scrubbed:
        raise UsageError("places and people are sealed already")
    if sealed:
        sealing.scrub(desk.database)
        return False
    sealing.seal_all(desk.database, _chosen(desk, PASSPHRASE).reveal())
    with desk.database.begin() as db:
        sealing_key = sealing.sealing_key(db)
    if sealing_key is not None:
        approvals.approve_seal(desk.home, sealing_key)
    return True


def unseal(desk: Desk) -> None:
    """Keep places and people as plain text again; raises SealLocked."""
    require_open(desk)
    approvals.forget_seal(desk.home)
    sealing.unseal_all(desk.database)


def change_passphrase(desk: Desk) -> None:
    """Put another passphrase in the place of the one the seal was opened with."""
    sealing.change_passphrase(desk.book, _chosen(desk, NEW_PASSPHRASE).reveal())


def require_open(desk: Desk) -> None:
    """Raise UsageError where nothing is sealed, SealLocked where nobody gives the passphrase."""
    with desk.book.begin() as db:
        if not sealing.is_sealed(db):
            raise UsageError("places and people are not sealed")
        opener_of(db)


def _chosen(desk: Desk, name: str) -> Secret:
    """Return a passphrase to be set, from standard input or typed twice."""
    chosen = desk.passphrases.get(name)
    if chosen is None and desk.stdin is None:
        chosen = _typed_twice(desk)
    if chosen is None:
        raise PassphraseMissing(name)
    if len(chosen) < LENGTH_MIN:
        raise UsageError(f"a passphrase has at least {LENGTH_MIN} bytes, not {len(chosen)}")
    return chosen


def _typed_twice(desk: Desk) -> Secret | None:
    typed = ask_hidden("new passphrase for places and people: ")
    if typed and ask_hidden("once more: ") != typed:
        raise UsageError("the two passphrases typed differ; nothing was changed")
    return desk.closing.enter_context(Secret(typed)) if typed else None


def _refuse_other_seal(desk: Desk, database: "sessionmaker[Session]") -> None:
    """Raise ApprovalMismatch where the seal is not the one this home approved."""
    with database.begin() as db:
        standing = approvals.seal_standing(desk.home, sealing.sealing_key(db))
    if standing is approvals.Standing.DIFFERS:
        raise ApprovalMismatch("the key that places and people are sealed to")


def _locked(database: "sessionmaker[Session]") -> bool:
    with database.begin() as db:
        return sealing.is_locked(db)
