"""What a TAPSIGNER means by an error code."""

from collections.abc import Callable
from functools import partial

from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PinIncorrect,
    PinUnsuitable,
    ProtocolError,
)
from cards.tapsigner import NAME
from cards.tapsigner.wire import (
    BACKUP_FIRST,
    BAD_ARGUMENTS,
    BAD_AUTH,
    INVALID_STATE,
    NEEDS_AUTH,
    UNKNOWN_COMMAND,
    UNLUCKY,
)

UNSAVED = "another CVC before a backup was made: a forgotten one would take the key with it"
_MEANINGS: dict[int, Callable[[], CardError]] = {
    BAD_AUTH: partial(PinIncorrect, None),
    NEEDS_AUTH: partial(NotUnlocked, "the card wants its CVC with this command"),
    INVALID_STATE: partial(CardNotInitialised, "the card has no key"),
    BACKUP_FIRST: partial(NotSupported, NAME, UNSAVED),
}


def refusal(code: int, name: str) -> CardError:
    """Return the error a code stands for."""
    if code == UNKNOWN_COMMAND:
        return NotSupported(NAME, f"the command {name}")
    if (code, name) == (BAD_ARGUMENTS, "change"):
        return PinUnsuitable("the card takes a new CVC of digits only")
    if code == UNLUCKY:
        return ProtocolError("the card was out of luck with every nonce it drew")
    return _MEANINGS.get(code, partial(ProtocolError, f"the card refuses {name} with {code}"))()
