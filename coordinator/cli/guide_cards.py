"""The card that lies on a reader: what it is, and what the guide does with it."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coordinator.cli.context import Context, Globals
from coordinator.cli.prompts import Choice, choose, paragraph, wait_for_enter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cards.session import CardIdentity
    from coordinator.readers.slots import Found


class CardSeen(NamedTuple):
    """A card on a reader, and what it is called here."""

    reader: str
    family: str
    identity: "CardIdentity | None"
    label: str | None


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
            if _leave_it():
                return None
            continue
        paragraph(told(seen))
        reader = ("--reader", seen.reader)
        if seen.label is not None:
            paragraph(f"It is {seen.label} of this home: it is looked at, and another one is laid.")
            return ["card", "check", seen.label, *reader]
        made = seen.identity is None or seen.identity.initialised
        if made:
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


def told(seen: CardSeen) -> str:
    """Say what a card is, by what it tells before any PIN."""
    card = seen.identity
    if card is None:
        return (
            f"On {seen.reader} lies a card of the family {seen.family}; it tells no more before "
            "its PIN, and is set up."
        )
    state = "is factory fresh" if not card.has_pin else "has a PIN and no key yet"
    if card.initialised:
        state = "is set up"
    left = card.attempts_left
    tries = "does not count wrong PINs" if left is None else f"takes {left} more wrong PINs"
    if left == 0:
        tries = f"takes no PIN{' and no PUK' if card.puk_attempts_left == 0 else ''} any more"
    named = f"is enrolled here as {seen.label}" if seen.label else "is not enrolled here"
    counted = [tries] if card.initialised or card.has_pin else []
    *others, last = [state, named, *counted]
    said = f"{', '.join(others)} and {last}"
    return f"On {seen.reader} lies a {card.family} {card.version}: it {said}."


def _seen(folder: Path) -> CardSeen | None:
    """Return the card that lies on a reader; of several the one that is chosen."""
    from cards.errors import CardError
    from coordinator.cli.failures import explain
    from coordinator.readers import real_readers

    with closing(Context(Globals(home=folder))) as opened:
        try:
            found = real_readers.looked_at(opened.home)
        except CardError as failure:
            paragraph(f"The readers cannot be asked: {failure}; {explain(failure).hint}.")
            return None
        cards = [card for each in found if (card := _labelled(opened, each)) is not None]
    for each in found:
        if each.error is not None and each.family is None:
            paragraph(f"On {each.name}: {each.error}.")
    if not cards:
        paragraph("No card is seen." if found else "No reader is connected: plug one in.")
        return None
    if len(cards) == 1:
        return cards[0]
    named = [Choice(str(number), told(each)) for number, each in enumerate(cards)]
    return cards[int(choose("Which card is meant?", named))]


def _labelled(opened: Context, found: "Found") -> CardSeen | None:
    from storage import cards as card_book

    if found.card is None:
        return CardSeen(found.name, found.family, None, None) if found.family else None
    with opened.database.begin() as db:
        known = card_book.card_with_id(db, found.card.family, found.card.card_id)
        return CardSeen(found.name, found.card.family, found.card, known.label if known else None)


def _leave_it() -> bool:
    again = [Choice("again", "Look again"), Choice("later", "Leave it for later")]
    return choose("What now?", again) == "later"
