"""What is known of the cards' secrets: that they exist, who knows them, where they are written.

The noun is mapped where there is one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import model
from storage.lookup import absent, first_free, is_empty, present
from storage.model import Card, Holder, Location

if TYPE_CHECKING:
    from storage.model import CardSecret


def find_secret(db: Session, card: Card, kind: str) -> "CardSecret | None":
    """Return what is known of a card's secret of this kind."""
    wanted = (model.CardSecret.card_id == card.id) & (model.CardSecret.kind == kind)
    return db.scalars(select(model.CardSecret).where(wanted)).one_or_none()


def add_secret(db: Session, label: str, card: Card, *, kind: str, now: datetime) -> "CardSecret":
    """Remember that a card has such a secret, by that label; raises AlreadyExists for another's.

    One that is known already gets the label; who knows it stays known.
    """
    secret = find_secret(db, card, kind)
    twin = _labelled(db, label)
    absent(twin if twin is not secret else None, "secret", label)
    if secret is None:
        secret = model.CardSecret(
            label=label, card=card, card_id=card.id, kind=kind, created_at=now
        )
        db.add(secret)
    secret.label = label
    db.flush()
    return secret


def secret_named(db: Session, label: str) -> "CardSecret":
    """Return what is known of the secret of this label; raises NotFound."""
    return present(_labelled(db, label), "secret", label)


def rename_secret(db: Session, secret: "CardSecret", label: str) -> None:
    """Call a secret otherwise; raises AlreadyExists."""
    absent(_labelled(db, label), "secret", label)
    secret.label = label
    db.flush()


def free_label(db: Session, wanted: str) -> str:
    """Return the label wanted, or the first of label-2, label-3… no secret has."""
    return first_free(wanted, db.scalars(select(model.CardSecret.label)))


def learn(
    db: Session, secret: "CardSecret", known_by: Sequence[Holder], *, written_at: Sequence[Location]
) -> None:
    """Add to the people who know a secret and the places it is written at."""
    secret.known_by += [holder for holder in known_by if holder not in secret.known_by]
    secret.written_at += [place for place in written_at if place not in secret.written_at]
    db.flush()


def secrets_of(db: Session, card: Card) -> Sequence["CardSecret"]:
    """Return what is known of a card's secrets, by kind."""
    own = select(model.CardSecret).where(model.CardSecret.card_id == card.id)
    return db.scalars(own.order_by(model.CardSecret.kind)).all()


def all_secrets(db: Session) -> Sequence["CardSecret"]:
    """Return what is known of every card's secrets, by label."""
    if is_empty(db, "card_secret"):
        return []
    return db.scalars(select(model.CardSecret).order_by(model.CardSecret.label)).all()


def forget_secrets(db: Session, card: Card) -> None:
    """Forget a card's secrets: the card is forgotten, or has others from now on."""
    for secret in secrets_of(db, card):
        db.delete(secret)
    db.flush()


def _labelled(db: Session, label: str) -> "CardSecret | None":
    return db.scalars(select(model.CardSecret).where(model.CardSecret.label == label)).one_or_none()
