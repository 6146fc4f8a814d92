"""What is known of the cards, without touching one."""

from typing import Any

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator.custody import card_secrets
from coordinator.custody import log as custody_log
from coordinator.enrolment.enrol import key_document
from coordinator.home.stored import key_expression
from storage import cards as card_book
from storage import custody as custody_book
from storage.model import Card


def listed(db: Session, network: str) -> list[dict[str, Any]]:
    """Return every known card with its place and where its key was made."""
    return [_document(db, card, network) for card in card_book.all_cards(db)]


def shown(db: Session, label: str, network: str) -> dict[str, Any]:
    """Return one card with its history and what its family can do."""
    card = card_book.card_named(db, label)
    family = family_named(card.family)
    return {
        **_document(db, card, network),
        "makes_key_on_card": family.makes_key_on_card,
        "other_software": card_secrets.other_software(db, card),
        "signs": sorted(family.signs_at(card.version)),
        "thief_with_card_alone": family.theft.sentence,
        "resists": family.theft._asdict(),
        "pairing": card_secrets.pairing(db, card),
        "secrets": card_secrets.of_card(db, card),
        "history": custody_log.cards_document(db, label),
    }


def _document(db: Session, card: Card, network: str) -> dict[str, Any]:
    whereabouts = custody_log.whereabouts(custody_book.events_of(db, card.item))
    keys = [
        {**key_document(key_expression(key), network), "created_on": key.created_on}
        for key in card_book.keys_of_card(db, card.label)
    ]
    return {
        "label": card.label,
        "family": card.family,
        "card_id": card.card_id,
        "version": card.version,
        "emulated": card.emulated,
        "emulated_name": card.emulator_name,
        "attestation": {
            "result": card.attestation,
            "reason": card.attestation_reason,
            "siblings": card.siblings,
        },
        "location": whereabouts.location,
        "gone": whereabouts.gone,
        "enrolled_at": card.enrolled_at,
        "checked_at": card.checked_at,
        "keys": keys,
    }
