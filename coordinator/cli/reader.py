"""reader: what lies on the readers."""

from typing import TYPE_CHECKING

from coordinator.cli.context import Context
from coordinator.cli.output import columns
from coordinator.cli.result import Result, as_document

if TYPE_CHECKING:
    from coordinator.readers.slots import Found


def list_readers(context: Context) -> Result:
    """List the readers and what lies on each; no PIN is presented.

    \b
    Example: cardquorum reader list
    """
    from coordinator.readers import real_readers

    seen = real_readers.looked_at(context.home)
    listed = [(found, label_of(context, found)) for found in seen]
    rows = [(found.name, *_row(found, label)) for found, label in listed]
    header = ("reader", "card", "family", "version", "attempts left", "state")
    lines = columns(rows, *header) if rows else ["no reader is connected"]
    readers = []
    for found, label in listed:
        named = found.card and as_document(found.card, label=label, known=label is not None)
        readers.append(as_document(found, card=named))
    return Result({"readers": readers}, lines)


def label_of(context: Context, found: "Found") -> str | None:
    """Return what the card on a reader is called here."""
    from storage import cards as card_book

    if found.card is None:
        return None
    with context.database.begin() as db:
        known = card_book.card_with_id(db, found.card.family, found.card.card_id)
        return known.label if known else None


def _row(found: "Found", label: str | None) -> tuple[object, ...]:
    if found.error is not None:
        return (found.error, found.family, None, None, None)
    if found.card is None:
        return ("(empty)", None, None, None, None)
    card = found.card
    name = label or f"unknown here: {card.card_id[:16]}"
    state = "set up" if label else "set up already, not in this home"
    if not card.initialised:
        state = "has a PIN, no key yet" if card.has_pin else "factory fresh: no PIN, no key"
    return (name, card.family, card.version, card.attempts_left, state)


COMMANDS = {"reader": {"list": list_readers}}
