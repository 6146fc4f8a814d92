"""What a Satochip means by a status word other than 9000."""

from collections.abc import Callable
from functools import partial

from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    PinBlocked,
    PinIncorrect,
    PukBlocked,
    PukIncorrect,
    SecureChannelError,
    StatusWordError,
)
from cards.satochip import NAME
from cards.satochip.wire import (
    INS_UNBLOCK_PIN,
    SW_CHANNEL_IV,
    SW_CHANNEL_MAC,
    SW_CHANNEL_NOT_OPEN,
    SW_CHANNEL_REQUIRED,
    SW_IDENTITY_BLOCKED,
    SW_OPERATION_NOT_ALLOWED,
    SW_PIN_FAILED,
    SW_SEED_EXISTS,
    SW_SEED_MISSING,
    SW_SETUP_DONE,
    SW_SETUP_NOT_DONE,
    SW_UNAUTHORIZED,
)

CHANNEL_LOST = {SW_CHANNEL_REQUIRED, SW_CHANNEL_NOT_OPEN, SW_CHANNEL_IV, SW_CHANNEL_MAC}
_TRIES_LEFT = 0xF
_MEANINGS: dict[int, Callable[[], CardError]] = {
    SW_UNAUTHORIZED: partial(NotUnlocked, "the card wants its PIN first"),
    SW_IDENTITY_BLOCKED: partial(PinBlocked, "the card allows no more attempts"),
    SW_SETUP_NOT_DONE: partial(CardNotInitialised, "the card has not been set up"),
    SW_SEED_MISSING: partial(CardNotInitialised, "the card has no seed"),
    SW_SETUP_DONE: partial(NotSupported, NAME, "being set up twice"),
    SW_SEED_EXISTS: partial(NotSupported, NAME, "a second seed"),
    SW_OPERATION_NOT_ALLOWED: partial(NotSupported, NAME, "unblocking a PIN that is not blocked"),
}


def refusal(sw: int, ins: int) -> CardError:
    """Return the error a status word stands for."""
    if sw & ~_TRIES_LEFT == SW_PIN_FAILED:
        return (PukIncorrect if ins == INS_UNBLOCK_PIN else PinIncorrect)(sw & _TRIES_LEFT)
    if (sw, ins) == (SW_IDENTITY_BLOCKED, INS_UNBLOCK_PIN):
        return PukBlocked("the card allows no more attempts at its PUK")
    if sw in CHANNEL_LOST:
        return SecureChannelError(f"the card refuses its channel with {sw:04X}, twice")
    return _MEANINGS.get(sw, partial(StatusWordError, sw, ins))()
