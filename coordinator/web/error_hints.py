"""What to do about an error, where the page has another way than the command line."""

from typing import Final, Protocol

from cards.errors import CardNotInitialised, NotUnlocked, PinBlocked, TransportError
from coordinator.errors import (
    ApprovalMismatch,
    ChainUnreachable,
    FeerateTooLow,
    LastAttempt,
    NoEstimate,
    NotLooked,
    PassphraseMissing,
    PinMissing,
)
from coordinator.web.context import HomeReplaced
from coordinator.web.offered_cards import NoCardKnown
from coordinator.web.tasks import Busy, Failure, Left
from storage.errors import AlreadyExists, NotFound, SealLocked

SEALED: Final = "open the page once more from the terminal, and give the sealing words there"
HINTS: Final[dict[type[BaseException], str]] = {
    LastAttempt: "stop and look it up; when you are sure of it, tick the box for that on the page "
    "of the card",
    PinMissing: "nobody typed it in time; begin again when it is at hand",
    NotUnlocked: "give its PIN when it is asked for",
    PassphraseMissing: SEALED,
    SealLocked: SEALED,
    FeerateTooLow: "say a higher postage",
    NoEstimate: "say the postage yourself",
    PinBlocked: "open the page of this card: it says what frees it",
    CardNotInitialised: "set it up first: the page Cards shows how",
    TransportError: "lay the card on the reader again, and begin once more",
    NotLooked: "look it up first: Today has the button",
    ChainUnreachable: "what is shown is from the last time; try again later",
    ApprovalMismatch: "give out no address and sign nothing; restore a backup made before",
    Busy: "finish it, or stop it, on its own page",
    HomeReplaced: "stop the page in the terminal, look which home it is, and open it again",
    NoCardKnown: "make one known first: cardquorum card enrol",
    Left: "begin again when you are ready",
    NotFound: "go back, and choose it from the list",
    AlreadyExists: "go back, and choose another name",
}
"""An error takes the line of its own class, else of the nearest class above it."""


HELP: Final = "--help"
AGAIN: Final = "go back, and change what was typed or chosen"
"""What to do in place of reading how a command is typed."""


class Advice(Protocol):
    """What the command line says of an error."""

    @property
    def code(self) -> str:
        """Return what scripts call it."""
        ...

    @property
    def message(self) -> str:
        """Return what happened."""
        ...

    @property
    def hint(self) -> str:
        """Return what to do."""
        ...


def explained(error: BaseException, advice: Advice) -> Failure:
    """Return what the command line says of an error, with the page's own way to mend it."""
    return Failure(advice.code, advice.message, hint_for(type(error), advice.hint))


def hint_for(error: type[BaseException], usual: str) -> str:
    """Return what the page says to do about errors of a class, for what the command line does."""
    hint = next((HINTS[kind] for kind in error.__mro__ if kind in HINTS), usual)
    return AGAIN if HELP in hint else hint
