"""Which cards are offered to a command, and where they lie."""

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session, sessionmaker

from cards.errors import ReaderNotFound
from coordinator import emulated
from coordinator.errors import UsageError
from coordinator.settings import Home
from coordinator.slots import Slot
from storage import cards as card_book
from storage import vaults as vault_book


def all_labels(db: Session) -> list[str]:
    """Return the labels of every card known here."""
    return [card.label for card in card_book.all_cards(db)]


def labels_of_vault(db: Session, vault: str) -> list[str]:
    """Return the labels of the cards that carry a key of the vault."""
    record = vault_book.vault_named(db, vault)
    return [
        card.label
        for cosigner in record.cosigners
        for card in card_book.cards_with_key(db, cosigner.key)
    ]


def slots_for(
    home: Home,
    database: sessionmaker[Session],
    labels: Sequence[str],
    named: Sequence[str] | None,
    given: Collection[str] = (),
) -> list[Slot]:
    """Return the slots named; else those of the labels a PIN was given for; else of all labels.

    Raises UsageError where that leaves nothing.
    """
    if named:
        return [emulated.slot(home, name) for name in dict.fromkeys(named)]
    with database.begin() as db:
        wanted = [label for label in labels if label in given] or labels
        places = [card_book.card_named(db, label).emulator_name for label in wanted]
    slots = [emulated.slot(home, place) for place in places if place is not None]
    if not slots:
        raise UsageError("no card is offered; name where it lies with --emulated NAME")
    return slots


def slot_of(home: Home, database: sessionmaker[Session], label: str, named: str | None) -> Slot:
    """Return the slot named, else the one a known card was enrolled in."""
    if named:
        return emulated.slot(home, named)
    with database.begin() as db:
        card = card_book.card_named(db, label)
        if card.emulator_name is None:
            raise ReaderNotFound(f"card {label} lies in no slot this version can open")
        return emulated.slot(home, card.emulator_name)
