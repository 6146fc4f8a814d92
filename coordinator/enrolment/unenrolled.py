"""A card that is not enrolled here may carry a key of a vault: that is said, or mended at once."""

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy.orm import Session

from cards.errors import NotSupported, PathNotAvailable, WrongCard
from cards.session import CardIdentity, CardSession
from coordinator.enrolment import enrol
from coordinator.errors import CardNotEnrolled
from coordinator.home.stored_policies import key_expression
from coordinator.names import checked_name
from coordinator.person import Person
from coordinator.readers.slots import KnownCard, Slot, let_others
from psbt.keys import KeyExpression, bip48_path, format_path
from psbt.network import Network
from storage import cards as card_book
from storage import vaults as vault_book
from storage.database import Database
from storage.model import Card, Vault

UNKNOWN = bytes(4)


class Place(NamedTuple):
    """A key's place in a vault: its number from 1, as papers have it."""

    vault: str
    number: int
    key: KeyExpression

    def __str__(self) -> str:
        """Name it."""
        return f"key {self.number} of {self.vault}"


def places_of(db: Session, key: KeyExpression) -> list[Place]:
    """Return the places a key has in vaults."""
    kept = card_book.key_like(db, key.key.public_key, key.key.chain_code)
    return [
        Place(vault.name, number, key)
        for vault in vault_book.all_vaults(db)
        for number, place in enumerate(vault.every_key, 1)
        if kept is not None and place.key_id == kept.id
    ]


def card_like(db: Session, identity: CardIdentity) -> Card | None:
    """Return the card of the book that this is; raises WrongCard where only its version differs."""
    card = card_book.card_with_id(db, identity.family, identity.card_id)
    return None if card is None else same_version(card, identity)


def same_version(card: Card, identity: CardIdentity) -> Card:
    """Return the card of the book; raises WrongCard where its version is another one."""
    if identity.initialised and card.version != identity.version:
        raise WrongCard(
            f"{card.label}, enrolled as version {card.version}",
            f"one of version {identity.version} with its id; enrol it again if you know why",
        )
    return card


def carriers_of(db: Session, vault: Vault, branch: str | None = None) -> list[Card]:
    """Return the cards that carry a key of a vault, or of one of its branches."""
    return [
        card for place in vault.keys_of(branch) for card in card_book.cards_with_key(db, place.key)
    ]


def cards_of(db: Session, vault: Vault) -> list[KnownCard]:
    """Return the same as what is held against the cards on the readers."""
    return [KnownCard(card.label, card.family, card.card_id) for card in carriers_of(db, vault)]


def enrol_where_asked(
    database: Database,
    vault_name: str,
    session: CardSession,
    *,
    identity: CardIdentity,
    slot: Slot,
    person: Person,
    unlock: Callable[[str], None],
) -> None:
    """Enrol a card that carries a key of the vault, where a person at a terminal wants it.

    Raises WrongCard for a card that can be none of the vault's, CardNotEnrolled for one that may
    be and that nobody enrols now. Nothing is stored of a card that turns out to carry none.
    """
    with database.begin() as db:
        vault = vault_book.vault_named(db, vault_name)
        network = vault.network
        known = card_book.card_with_id(db, identity.family, identity.card_id)
        enrolled = known.label if known else None
        places = _possible(db, vault, known)
    card = f"{identity.family} {identity.card_id[:16]}".rstrip()
    if enrolled is not None:
        card = f"card {enrolled}, {card}"
    if not places or not identity.initialised:
        meant = enrolled or f"{card}, which is not enrolled here"
        raise WrongCard(f"a card of vault {vault_name}", meant)
    keys = " or ".join(str(place) for place in places)
    how = "is enrolled with another key" if enrolled else "is not enrolled here"
    why = f"{card} {how} and may carry {keys}, which no card here does"
    let_others(session, person)
    label = person.label_for(why, enrolled)
    if label is None:
        raise CardNotEnrolled(why, _remedy(enrolled, slot, places, network=network))
    if enrolled is None:
        enrol.refuse_another_label(database, checked_name(label), identity)
    enrol.attest_while_locked(session, network)
    unlock(label)
    place = _carried(session, places)
    if place is None:
        raise WrongCard(f"a card of vault {vault_name}", f"{card}, which carries no key of it")
    found = enrol.examine(session, slot, label, path=place.key.path, network=network)
    enrol.refuse_another_label(database, label, found.identity)
    with database.begin() as db:
        enrol.store(db, found, slot, network=network)
    person.say(f"this is {place}: enrolled as card {label}")


def _possible(db: Session, vault: Vault, known: Card | None) -> list[Place]:
    """Return which keys without a card the card may carry: by the seed of one enrolled here."""
    seeds = {key.fingerprint for key in card_book.keys_of_card(db, known.label)} if known else set()
    return [
        Place(vault.name, number, key_expression(place.key))
        for number, place in enumerate(vault.every_key, 1)
        if not card_book.cards_with_key(db, place.key)
        and (not seeds or place.key.fingerprint in {*seeds, UNKNOWN})
    ]


def _carried(session: CardSession, places: list[Place]) -> Place | None:
    """Return which of the keys an unlocked card has, compared whole."""
    for place in places:
        try:
            found = enrol.account_key(session, place.key.path).key
        except (PathNotAvailable, NotSupported):
            continue
        wanted = place.key.key
        if (found.public_key, found.chain_code) == (wanted.public_key, wanted.chain_code):
            return place
    return None


def _remedy(label: str | None, slot: Slot, places: list[Place], *, network: str) -> str:
    """Return the command that enrols it, with the path where that is not the usual one."""
    where = f"--{'emulated' if slot.emulated else 'reader'} '{slot.name}'"
    usual = bip48_path(Network(network))
    paths = dict.fromkeys(place.key.path for place in places)
    path = "" if usual in paths else f" --path {format_path(next(iter(paths)))}"
    return f"enrol it: cardquorum card enrol {label or 'LABEL'} {where}{path}"
