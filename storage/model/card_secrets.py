"""Who knows a card's PIN, PUK or pairing password, and where it is written; never its value."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.cards import Card
from storage.model.custody import Holder, Location
from storage.model.record import Id, Record, one_of

SECRET_KINDS = ("pin", "puk", "pairing")

secret_known_by = Table(
    "secret_known_by",
    Record.metadata,
    Column("secret_id", ForeignKey("card_secret.id"), primary_key=True),
    Column("holder_id", ForeignKey("holder.id"), primary_key=True),
)
secret_written_at = Table(
    "secret_written_at",
    Record.metadata,
    Column("secret_id", ForeignKey("card_secret.id"), primary_key=True),
    Column("location_id", ForeignKey("location.id"), primary_key=True),
)


class CardSecret(Record):
    """That a card has a secret of this kind, the people who know it, the places it is written."""

    __tablename__ = "card_secret"
    __table_args__ = (UniqueConstraint("card_id", "kind"), one_of("kind", SECRET_KINDS))

    id: Mapped[Id]
    label: Mapped[str] = mapped_column(unique=True)
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"))
    kind: Mapped[str]
    created_at: Mapped[datetime]
    card: Mapped[Card] = relationship(lazy="joined")
    known_by: Mapped[list[Holder]] = relationship(
        lazy="selectin", secondary=secret_known_by, order_by=Holder.name
    )
    written_at: Mapped[list[Location]] = relationship(
        lazy="selectin", secondary=secret_written_at, order_by=Location.name
    )
