"""What a Tangem means by a status word that is no success."""

from collections.abc import Callable
from functools import partial

from cards.errors import CardError, CardNotInitialised, NotSupported, NotUnlocked, StatusWordError
from cards.tangem import NAME
from cards.tangem.wire import SW_NO_WALLET, SW_WALLET_EXISTS, SW_WRONG_PASSCODE

_MEANINGS: dict[int, Callable[[], CardError]] = {
    SW_WRONG_PASSCODE: partial(
        NotUnlocked, "the card has another passcode than the one it was shown"
    ),
    SW_NO_WALLET: partial(CardNotInitialised, "the card has no key"),
    SW_WALLET_EXISTS: partial(NotSupported, NAME, "a second key of the same seed"),
}


def refusal(sw: int, ins: int) -> CardError:
    """Return the error a status word stands for."""
    return _MEANINGS.get(sw, partial(StatusWordError, sw, ins))()
