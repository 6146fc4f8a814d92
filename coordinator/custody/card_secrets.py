"""Who knows the cards' PINs, PUKs and pairing passwords, and where they are written."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy.orm import Session

from cards.family import family_named
from coordinator import clock
from coordinator.names import checked_name, require_known
from storage import card_secrets as secret_book
from storage import cards as card_book
from storage import custody as custody_book
from storage.model import Card

if TYPE_CHECKING:
    from storage.model import CardSecret

WORDS = {"pin": "PIN", "puk": "PUK", "pairing": "pairing password"}
KINDS = tuple(WORDS)
STEM_MAX = 32


class SecretLine(NamedTuple):
    """A card's secret as it is shown: who knows it and where it is written, never its value."""

    label: str
    card: str
    kind: str
    known_by: list[str]
    written_at: list[str]


def tell(
    db: Session,
    label: str,
    card: str,
    *,
    kind: str,
    known_by: Iterable[str] = (),
    written_at: Iterable[str] = (),
) -> SecretLine:
    """Remember who knows a secret and where it is written, besides those known already.

    Raises UsageError, NotFound, or AlreadyExists for a label another secret has.
    """
    require_known("kind", kind, KINDS)
    record = card_book.card_named(db, card.removeprefix("card:"))
    holders = [custody_book.holder_named(db, who) for who in known_by]
    places = [custody_book.location_named(db, place) for place in written_at]
    secret = secret_book.add_secret(db, checked_name(label), record, kind=kind, now=clock.now())
    secret_book.learn(db, secret, holders, written_at=places)
    return line(secret)


def listed(db: Session) -> list[SecretLine]:
    """Return what is known of the secrets of every card that was not forgotten."""
    return [line(secret) for secret in secret_book.all_secrets(db)]


def of_card(db: Session, card: Card) -> list[SecretLine]:
    """Return what is known of one card's secrets."""
    return [line(secret) for secret in secret_book.secrets_of(db, card)]


def note(db: Session, card: Card, kinds: Iterable[str], *, now: datetime) -> None:
    """Remember that a card has these secrets; of new ones nobody knows more yet."""
    for kind in kinds:
        if secret_book.find_secret(db, card, kind) is None:
            label = secret_book.free_label(db, f"{card.label[:STEM_MAX]}-{kind}")
            secret_book.add_secret(db, label, card, kind=kind, now=now)


def other_software(db: Session, card: Card) -> list[str]:
    """Return the other programs that can sign with a card.

    None of them can be told its owner's pairing password: they try the one everybody knows.
    """
    return software_for(card, own_pairing=pairing(db, card) == "own")


def software_for(card: Card, *, own_pairing: bool) -> list[str]:
    """Return the other programs that can sign with a card, its pairing password being known."""
    family = family_named(card.family)
    if own_pairing and "pairing" in family.setup_secrets_at(card.version):
        return []
    return [other.name for other in family.software_at(card.version)]


def pairing(db: Session, card: Card) -> str | None:
    """Return whose pairing password a card has, where it has one: default, or the owner's own."""
    if "pairing" not in family_named(card.family).setup_secrets_at(card.version):
        return None
    return "own" if secret_book.find_secret(db, card, "pairing") else "default"


def line(secret: "CardSecret") -> SecretLine:
    """Return a secret as it is shown."""
    return SecretLine(
        secret.label,
        secret.card.label,
        secret.kind,
        sorted(holder.name for holder in secret.known_by),
        sorted(place.name for place in secret.written_at),
    )
