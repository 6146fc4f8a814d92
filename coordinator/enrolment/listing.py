"""What is known of the cards, without touching one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from cards.family import Theft, family_named
from coordinator.custody import card_secrets
from coordinator.custody import log as custody_log
from coordinator.custody.card_secrets import SecretLine
from coordinator.custody.log import EventLine
from coordinator.home.stored_policies import key_expression
from psbt.keys import KeyExpression, format_key_expression, format_path, format_xpub
from psbt.network import Network
from storage import cards as card_book
from storage import custody as custody_book
from storage.model import Card, CustodyEvent


@dataclass(frozen=True)
class KeyLine:
    """A key as it is shown, each of its parts as text."""

    fingerprint: bytes
    path: str
    xpub: str
    expression: str


def key_line(key: KeyExpression, network: str) -> KeyLine:
    """Return a key as it is shown."""
    return KeyLine(
        key.fingerprint,
        format_path(key.path),
        format_xpub(key.key, Network(network)),
        format_key_expression(key, Network(network)),
    )


@dataclass(frozen=True)
class CardKey(KeyLine):
    """A key that a card carries, where it was made, and whether it signs for leaves of taproot.

    That is what the card proved when it was last enrolled with the key.
    """

    created_on: str
    signs_leaf: bool


class Attested(NamedTuple):
    """How far a card proved to be genuine, and how many cards of its set carry its keys."""

    result: str
    reason: str
    siblings: int


@dataclass(frozen=True)
class CardLine:
    """A card as a list shows it."""

    label: str
    family: str
    card_id: str
    version: str
    emulated: bool
    emulated_name: str | None
    attestation: Attested
    location: str | None
    gone: str | None
    enrolled_at: datetime
    checked_at: datetime | None
    keys: list[CardKey]


@dataclass(frozen=True)
class CardShown(CardLine):
    """A card with its secrets, its history and what its family can do."""

    makes_key_on_card: bool
    other_software: list[str]
    signs: list[str]
    thief_with_card_alone: str
    resists: Theft
    pairing: str | None
    secrets: list[SecretLine]
    history: list[EventLine]


def listed(db: Session, network: str) -> list[CardLine]:
    """Return every known card with its place and where its key was made."""
    told = custody_book.events_by_item(db)
    return [
        _line(db, card, network, events=told.get(card.item_id, ()))
        for card in card_book.all_cards(db)
    ]


def shown(db: Session, label: str, network: str) -> CardShown:
    """Return one card with its history and what its family can do."""
    card = card_book.card_named(db, label)
    family = family_named(card.family)
    events = custody_book.events_of(db, card.item)
    return CardShown(
        **vars(_line(db, card, network, events=events)),
        makes_key_on_card=family.makes_key_on_card,
        other_software=card_secrets.other_software(db, card),
        signs=sorted(family.signs_at(card.version)),
        thief_with_card_alone=family.theft.sentence,
        resists=family.theft,
        pairing=card_secrets.pairing(db, card),
        secrets=card_secrets.of_card(db, card),
        history=[custody_log.event_line(e) for e in events],
    )


def _line(db: Session, card: Card, network: str, *, events: Sequence[CustodyEvent]) -> CardLine:
    place, gone = custody_log.whereabouts(events)
    return CardLine(
        label=card.label,
        family=card.family,
        card_id=card.card_id,
        version=card.version,
        emulated=card.emulated,
        emulated_name=card.emulator_name,
        attestation=Attested(card.attestation, card.attestation_reason, card.siblings),
        location=place,
        gone=gone,
        enrolled_at=card.enrolled_at,
        checked_at=card.checked_at,
        keys=[
            CardKey(
                **vars(key_line(key_expression(key), network)),
                created_on=key.created_on,
                signs_leaf=card not in card_book.unproved_cards(db, key),
            )
            for key in card_book.keys_on(db, card.item)
        ],
    )
