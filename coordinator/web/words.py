"""What to do about an error, where the page has another way than the command line."""

from typing import Final, Protocol

from cards.errors import CardNotInitialised, PinBlocked, TransportError
from coordinator.errors import (
    ApprovalMismatch,
    ChainUnreachable,
    LastAttempt,
    NotLooked,
    PinMissing,
)
from coordinator.web.context import HomeReplaced
from coordinator.web.offering import NoCardKnown
from coordinator.web.tasks import Busy, Failure, Left
from storage.errors import AlreadyExists, NotFound

HINTS: Final[dict[type[BaseException], str]] = {
    LastAttempt: "stop and look it up; when you are sure of it, tick the box for that on the page "
    "of the card",
    PinMissing: "nobody typed it in time; begin again when it is at hand",
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
    hint = next((HINTS[kind] for kind in type(error).__mro__ if kind in HINTS), advice.hint)
    if HELP in hint:
        hint = AGAIN
    return Failure(advice.code, advice.message, hint)
