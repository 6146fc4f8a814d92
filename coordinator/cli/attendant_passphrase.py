"""The passphrase of a sealed home: from standard input or typed without echo, used here only."""

import io
from typing import TYPE_CHECKING

from cards.pin import Secret
from coordinator.cli.attendant import ask_hidden
from coordinator.cli.context import Context
from coordinator.errors import ApprovalMismatch, PassphraseMissing, UsageError
from coordinator.files import read_secret_lines
from coordinator.home import approvals
from storage import sealing
from storage.private import opener_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

PASSPHRASE, NEW_PASSPHRASE = "home.passphrase", "home.new-passphrase"
LENGTH_MIN = 8


def take_from_stdin(context: Context, *, cards: bool) -> None:
    """Read standard input; what is not this home's passphrase is left for the cards' PINs.

    Raises UsageError on a second passphrase, and on other lines where no card is asked.
    """
    rest: list[bytes] = []
    for number, line in enumerate(read_secret_lines(), 1):
        left, equals, right = line.partition(b"=")
        name = left.strip().decode("utf-8", "replace")
        ours = bool(equals) and name in {PASSPHRASE, NEW_PASSPHRASE}
        if ours and name in context.passphrases:
            raise UsageError(f"line {number} of standard input gives the same secret once more")
        if not ours and not cards and line.strip():
            raise UsageError(f"line {number} of standard input names no secret wanted here")
        if ours:
            context.passphrases[name] = context.closing.enter_context(Secret(right))
        rest.append(b"" if ours else line)
    context.stdin = io.BytesIO(b"\n".join(rest))


def unlock_given(context: Context, database: "sessionmaker[Session]") -> None:
    """Open the seal with the passphrase from standard input, where there are both."""
    given = context.passphrases.get(PASSPHRASE)
    if given is not None and _locked(database):
        _refuse_other_seal(context, database)
        sealing.unlock(database, given.reveal())


def unlock_asking(context: Context) -> None:
    """Open the seal with a passphrase typed at the terminal; without one it stays closed."""
    if context.stdin is not None or not _locked(context.database):
        return
    _refuse_other_seal(context, context.database)
    typed = ask_hidden("passphrase of places and people (nothing: they stay sealed): ")
    if typed:
        sealing.unlock(context.database, typed)


def seal(context: Context) -> bool:
    """Seal the home under a new passphrase; returns False where only scrubbing was left to do."""
    with context.database.begin() as db:
        sealed, scrubbed = sealing.is_sealed(db), sealing.is_scrubbed(db)
    if sealed and scrubbed:
        raise UsageError("places and people are sealed already")
    if sealed:
        sealing.scrub(context.database)
        return False
    sealing.seal_all(context.database, _chosen(context, PASSPHRASE).reveal())
    with context.database.begin() as db:
        sealing_key = sealing.sealing_key(db)
    if sealing_key is not None:
        approvals.approve_seal(context.home, sealing_key)
    return True


def unseal(context: Context) -> None:
    """Keep places and people as plain text again; raises SealLocked."""
    require_open(context)
    approvals.forget_seal(context.home)
    sealing.unseal_all(context.database)


def change_passphrase(context: Context) -> None:
    """Put another passphrase in the place of the one the seal was opened with."""
    sealing.change_passphrase(context.book, _chosen(context, NEW_PASSPHRASE).reveal())


def require_open(context: Context) -> None:
    """Raise UsageError where nothing is sealed, SealLocked where nobody gives the passphrase."""
    with context.book.begin() as db:
        if not sealing.is_sealed(db):
            raise UsageError("places and people are not sealed")
        opener_of(db)


def _chosen(context: Context, name: str) -> Secret:
    """Return a passphrase to be set, from standard input or typed twice."""
    chosen = context.passphrases.get(name)
    if chosen is None and context.stdin is None:
        chosen = _typed_twice(context)
    if chosen is None:
        raise PassphraseMissing(name)
    if len(chosen) < LENGTH_MIN:
        raise UsageError(f"a passphrase has at least {LENGTH_MIN} bytes, not {len(chosen)}")
    return chosen


def _typed_twice(context: Context) -> Secret | None:
    typed = ask_hidden("new passphrase for places and people: ")
    if typed and ask_hidden("once more: ") != typed:
        raise UsageError("the two passphrases typed differ; nothing was changed")
    return context.closing.enter_context(Secret(typed)) if typed else None


def _refuse_other_seal(context: Context, database: "sessionmaker[Session]") -> None:
    """Raise ApprovalMismatch where the seal is not the one this home approved."""
    with database.begin() as db:
        standing = approvals.seal_standing(context.home, sealing.sealing_key(db))
    if standing is approvals.Standing.DIFFERS:
        raise ApprovalMismatch("the key that places and people are sealed to")


def _locked(database: "sessionmaker[Session]") -> bool:
    with database.begin() as db:
        return sealing.is_locked(db)
