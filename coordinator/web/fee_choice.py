"""When a payment shall arrive: what a form asks, and the fee rate that comes of the answer."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from coordinator.errors import UsageError
from coordinator.home.settings import OFFLINE
from coordinator.web.context import Context

ARRIVALS: Final = {
    "6": "within about an hour",
    "1": "as soon as possible; it costs more",
    "24": "some time today",
    "144": "tomorrow is early enough; it costs least",
}
"""The word for it, by the number of blocks."""
TYPED: Final = "typed"


class Postage(NamedTuple):
    """A fee rate (sat/kvB), and whether the person typed it."""

    feerate: int
    typed: bool


def asked(context: Context, given: Mapping[str, str], usual: str = "6") -> dict[str, object]:
    """Return what the question shows: a computer that asks no one has only the typed answer."""
    asks_rate = context.home.chain == OFFLINE
    chosen = given.get("when", TYPED if asks_rate else usual)
    arrivals = {} if asks_rate else ARRIVALS
    return {"arrivals": arrivals, "when": chosen, "rate": given.get("rate", "")}


def without_chain(why: str) -> str:
    """Return what is said above a form where the chain could not be asked for the postage."""
    return f"{why}; try again later, or say the postage yourself"


def postage(context: Context, vault: str, form: Mapping[str, str]) -> Postage:
    """Return the rate that a form says; the vault is looked at first. Raises UsageError."""
    when = form.get("when", "")
    typed = form.get("rate", "").strip() if when == TYPED else None
    if typed is None and when not in ARRIVALS:
        raise UsageError("say when it shall arrive")
    if typed == "":
        raise UsageError("say the postage too, in sat/vB")
    feerate = context.fee_rate(vault, typed, None if typed is not None else int(when))
    return Postage(feerate, typed is not None)
