"""From an error to a sentence, a hint and an exit status: one place."""

import re
from dataclasses import dataclass
from typing import Any

from cards import errors as card
from coordinator import errors as hall
from coordinator.cli.output import ExitStatus
from psbt import errors as psbt
from storage import errors as storage

Advice = tuple[ExitStatus, str]


@dataclass(frozen=True)
class Failure:
    """What happened, what to do now, and how the shell hears of it."""

    code: str
    message: str
    hint: str
    status: ExitStatus
    fields: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return the failure as the object behind `error`."""
        return {"code": self.code, "message": self.message, "hint": self.hint, **self.fields}


def explain(error: BaseException) -> Failure:
    """Choose the hint and the exit status for an error."""
    status, hint = _advice(error)
    fields = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
    message = str(error) if status is not ExitStatus.BUG else f"unexpected {code}: {error}"
    return Failure(code, message, hint, status, fields)


def _advice(error: BaseException) -> Advice:
    match error:
        case card.CardError() | hall.LastAttempt() | hall.PinMissing():
            return _card_advice(error)
        case psbt.PsbtError():
            return _psbt_advice(error)
        case storage.StorageError():
            return _storage_advice(error)
        case hall.CoordinatorError():
            return _hall_advice(error)
        case KeyboardInterrupt():
            return ExitStatus.INTERRUPTED, "what was signed is kept; run the same command again"
        case _:
            return ExitStatus.BUG, "please report this with the command and the output of -v -v"


def _card_advice(error: BaseException) -> Advice:
    match error:
        case card.PinIncorrect(attempts_left=1):
            return ExitStatus.PIN, "stop here and look it up: one more mistake blocks the card"
        case card.PinIncorrect():
            return ExitStatus.PIN, "look the PIN up, then try again"
        case card.PinBlocked():
            return ExitStatus.PIN, "free it with its PUK: cardquorum card unblock LABEL"
        case card.PinDelayed(seconds=seconds):
            return ExitStatus.PIN, f"wait {seconds} seconds, then try again"
        case hall.LastAttempt():
            return ExitStatus.PIN, "look the PIN up; when you are sure of it, add --last-attempt"
        case hall.PinMissing() | card.NotUnlocked():
            return ExitStatus.PIN, "type it at the terminal, or give LABEL=PIN with --pin-stdin"
        case card.WrongCard():
            return ExitStatus.CARD, "no PIN was presented; offer the card that is meant"
        case card.NotGenuine():
            return ExitStatus.CARD, "nothing was stored; do not use this card, ask its maker"
        case card.CardNotInitialised():
            return ExitStatus.CARD, "set it up first: cardquorum card setup LABEL"
        case card.NotSupported() | card.PathNotAvailable():
            return ExitStatus.CARD, "another card or path can do this; see cards/README.md"
        case card.TransportError():
            return ExitStatus.CARD, "put the card back and run the same command again"
        case _:
            return ExitStatus.CARD, "try again; if it stays, check the card: card check LABEL"


def _psbt_advice(error: psbt.PsbtError) -> Advice:
    match error:
        case psbt.SignaturesMissing():
            return ExitStatus.NOT_YET, "collect the missing ones: cardquorum spend sign ID"
        case psbt.InsufficientFunds():
            return ExitStatus.REFUSED, "pay less, or wait for more coins: cardquorum coins VAULT"
        case psbt.NotOnlySignatures():
            return ExitStatus.REFUSED, "nothing was taken from it; ask where the file has been"
        case psbt.SignatureInvalid():
            return ExitStatus.REFUSED, "it was not kept; check that signer's key: vault verify"
        case psbt.ConsensusRejected():
            return ExitStatus.REFUSED, "do not broadcast it; please report this"
        case _:
            return ExitStatus.REFUSED, "nothing was changed; check where this came from"


def _storage_advice(error: storage.StorageError) -> Advice:
    match error:
        case storage.NotFound():
            return ExitStatus.USAGE, "the list commands show the names there are"
        case storage.AlreadyExists():
            return ExitStatus.USAGE, "choose another name"
        case storage.SchemaTooNew():
            return ExitStatus.REFUSED, "use the newer cardquorum that wrote this home"
        case storage.ChainBroken():
            return ExitStatus.REFUSED, "the custody book was altered; compare it with a printed head"
        case _:
            return ExitStatus.REFUSED, "nothing was changed; look at the home's database file"


def _hall_advice(error: hall.CoordinatorError) -> Advice:
    match error:
        case hall.SettingsError():
            return ExitStatus.USAGE, "make one with: cardquorum init --network NETWORK"
        case hall.Ambiguous():
            return ExitStatus.USAGE, "write it with its kind, as kind:name"
        case hall.UsageError():
            return ExitStatus.USAGE, "see the command's --help"
        case hall.ChainUnreachable():
            return ExitStatus.CHAIN, "wait for the other process, or check the chain URL"
        case hall.ChainError():
            return ExitStatus.CHAIN, "nothing was sent; see what the chain says: cardquorum status"
        case hall.NotFinal():
            return ExitStatus.NOT_YET, "run: cardquorum spend finalize ID"
        case hall.NotAccepted():
            return ExitStatus.REFUSED, "read the review; accept each danger with --accept CODE"
        case hall.CoinReserved(ceremony=ceremony):
            return ExitStatus.REFUSED, f"finish or abandon ceremony {ceremony} first"
        case hall.NothingToSign():
            return ExitStatus.REFUSED, "see where it stands: cardquorum spend show ID"
        case _:
            return ExitStatus.REFUSED, "see where it stands: cardquorum status"
