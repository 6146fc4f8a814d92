"""The card that lies on a reader: what it is, and what the guide does with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.context import Context, Globals
from coordinator.cli.prompts import Choice, choose, paragraph, wait_for_enter
from coordinator.cli.reader import label_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.readers.slots import Found


def words_for_card(folder: Path, words: "Sequence[str]") -> list[str] | None:
    """Have a card laid on a reader; return the command that fits it, None to leave it for later.

    `words` are those of a step that wants a new card set up, or one of a vault enrolled. What is
    set up already is enrolled instead of being set up again; what is known here is only checked.
    """
    wants_key = tuple(words[:2]) == ("card", "enrol")
    while True:
        wait_for_enter("Lay the card on the reader.")
        seen = _seen(folder)
        if seen is None:
            again = [Choice("again", "Look again"), Choice("later", "Leave it for later")]
            if choose("What now?", again) == "later":
                return None
            continue
        found, label = seen
        paragraph(_told(found, label))
        reader = ("--reader", found.name)
        if label is not None:
            paragraph(f"It is {label} of this home: it is looked at, and another one is laid.")
            return ["card", "check", label, *reader]
        if found.card is None or found.card.initialised:
            if not wants_key:
                paragraph(
                    "It has a key already, so that is kept: its own PIN is asked for. If you did "
                    "not make that key yourself, stop here with Ctrl-C and reset the card first."
                )
            return ["card", "enrol", words[2], *reader]
        if wants_key:
            paragraph("A card without a key belongs to no vault: lay one that was set up.")
            continue
        return [*words, *reader]


def _told(found: "Found", label: str | None) -> str:
    """Say what a card is, by what it tells before any PIN."""
    card = found.card
    if card is None:
        return (
            f"On {found.name} lies a card of the family {found.family}; it tells no more before "
            "its PIN, and is set up."
        )
    state = "is factory fresh" if not card.has_pin else "has a PIN and no key yet"
    if card.initialised:
        state = "is set up"
    left = card.attempts_left
    tries = "does not count wrong PINs" if left is None else f"takes {left} more wrong PINs"
    if left == 0:
        tries = f"takes no PIN{' and no PUK' if card.puk_attempts_left == 0 else ''} any more"
    named = f"is enrolled here as {label}" if label else "is not enrolled here"
    counted = [tries] if card.initialised or card.has_pin else []
    *others, last = [state, named, *counted]
    said = f"{', '.join(others)} and {last}"
    return f"On {found.name} lies a {card.family} {card.version}: it {said}."


def _seen(folder: Path) -> "tuple[Found, str | None] | None":
    """Return the card that lies on a reader, and its label; of several the one that is chosen."""
    from cards.errors import CardError
    from coordinator.cli.failures import explain
    from coordinator.readers import real_readers

    with Context(Globals(home=folder)) as opened:
        try:
            found = real_readers.looked_at(opened.home)
        except CardError as failure:
            paragraph(f"The readers cannot be asked: {failure}; {explain(failure).hint}.")
            return None
        cards = [(each, label_of(opened, each)) for each in found if each.card or each.family]
    for each in found:
        if each.error is not None and each.family is None:
            paragraph(f"On {each.name}: {each.error}.")
    if not cards:
        paragraph("No card is seen." if found else "No reader is connected: plug one in.")
        return None
    if len(cards) == 1:
        return cards[0]
    named = [Choice(str(number), _told(*each)) for number, each in enumerate(cards)]
    return cards[int(choose("Which card is meant?", named))]
