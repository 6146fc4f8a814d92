"""That one vault took another's place, because one of its keys is gone."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.cards import Card
from storage.model.ceremonies import Ceremony
from storage.model.record import Check, Id, Record
from storage.model.vaults import Vault


class Succession(Record):
    """A vault, its successor, the card that is gone, the new one, and the last sweep begun."""

    __tablename__ = "succession"
    __table_args__ = (Check("vault_id <> successor_id", name="two_vaults"),)

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), unique=True)
    successor_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), unique=True)
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"))
    new_card_id: Mapped[int] = mapped_column(ForeignKey("card.id"))
    ceremony_id: Mapped[int | None] = mapped_column(ForeignKey("ceremony.id"))
    started_at: Mapped[datetime]
    vault: Mapped[Vault] = relationship(lazy="selectin", foreign_keys=vault_id)
    successor: Mapped[Vault] = relationship(lazy="selectin", foreign_keys=successor_id)
    card: Mapped[Card] = relationship(lazy="selectin", foreign_keys=card_id)
    new_card: Mapped[Card] = relationship(lazy="selectin", foreign_keys=new_card_id)
    ceremony: Mapped[Ceremony | None] = relationship(lazy="selectin")
