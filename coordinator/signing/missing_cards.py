"""The cards a quorum still lacks, and how a person is told of each."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.custody import log as custody_log
from storage import cards as card_book
from storage.model import Vault


class Wanted(NamedTuple):
    """A card that the quorum still lacks, and how a person is told of it: name and place."""

    label: str
    words: str


def wanted_cards(db: Session, vault: Vault, labels: Collection[str]) -> list[Wanted]:
    """Return the cards of these cosigners, each by name and place; none that is gone."""
    return [
        Wanted(card.label, custody_log.called(db, card))
        for place in vault.every_key
        if place.label in labels
        for card in card_book.cards_with_key(db, place.key)
        if custody_log.where_is(db, card.item).gone is None
    ]
