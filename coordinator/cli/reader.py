"""reader: what lies on the readers."""

from typing import TYPE_CHECKING, Any

from coordinator.cli.context import Context
from coordinator.cli.output import Result, columns

if TYPE_CHECKING:
    from coordinator.readers.real_readers import Found


def list_readers(context: Context) -> Result:
    """List the readers and what lies on each; no PIN is presented.

    \b
    Example: cardquorum reader list
    """
    from coordinator.readers import real_readers

    documents = [_document(context, found) for found in real_readers.looked_at(context.home)]
    rows = [(d["name"], *_row(d)) for d in documents]
    header = ("reader", "card", "family", "version", "attempts left")
    lines = columns(rows, *header) if rows else ["no reader is connected"]
    return Result({"readers": documents}, lines)


def _document(context: Context, found: "Found") -> dict[str, Any]:
    from coordinator.cli.failures import explain
    from storage import cards as card_book

    error = None if found.error is None else explain(found.error).document()
    card: dict[str, Any] | None = None
    if found.card is not None:
        with context.database.begin() as db:
            known = card_book.card_with_id(db, found.card.family, found.card.card_id)
            label = known.label if known else None
        card = {**found.card._asdict(), "label": label, "known": label is not None}
    return {"name": found.name, "card": card, "error": error}


def _row(document: dict[str, Any]) -> tuple[object, ...]:
    card, error = document["card"], document["error"]
    if error is not None:
        return (error["message"], None, None, None)
    if card is None:
        return ("(empty)", None, None, None)
    name = card["label"] or f"unknown here: {card['card_id'][:16]}"
    return (name, card["family"], card["version"], card["attempts_left"])


COMMANDS = {
    "reader": {
        "list": list_readers,
    },
}
