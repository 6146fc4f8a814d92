"""What a Keycard means by a status word other than 9000."""

from collections.abc import Callable
from functools import partial

from cards.errors import (
    CardError,
    NotSupported,
    PinBlocked,
    PinIncorrect,
    PukBlocked,
    PukIncorrect,
    StatusWordError,
)
from cards.keycard import NAME
from cards.keycard.wire import INS_UNBLOCK_PIN, SW_CONDITIONS, SW_TRIES_LEFT

_TRIES = 0xF
_MEANINGS: dict[tuple[int, int], Callable[[], CardError]] = {
    (SW_CONDITIONS, INS_UNBLOCK_PIN): partial(
        NotSupported, NAME, "unblocking a PIN that is not blocked"
    ),
}


def refusal(sw: int, ins: int) -> CardError:
    """Return the error a status word stands for."""
    if sw & ~_TRIES == SW_TRIES_LEFT:
        return (PukIncorrect if ins == INS_UNBLOCK_PIN else PinIncorrect)(sw & _TRIES)
    return _MEANINGS.get((sw, ins), partial(StatusWordError, sw, ins))()


def puk_blocked() -> PukBlocked:
    """Return the error of a card whose PUK is used up too."""
    return PukBlocked("the card allows no more attempts at its PUK")


def blocked() -> PinBlocked:
    """Return the error of a card that lets nobody try again."""
    return PinBlocked("the card allows no more attempts")
