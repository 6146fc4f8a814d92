"""Drills, and the proofs that cards gave in them."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.cards import Card
from storage.model.record import Id, Record, sized
from storage.model.vaults import Vault


class Drill(Record):
    """A message that the keys of a vault are asked to sign, each on its own day (BIP 322)."""

    __tablename__ = "drill"
    __table_args__ = (sized("public_id", 8),)

    id: Mapped[Id]
    public_id: Mapped[str] = mapped_column(unique=True)
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), index=True)
    message: Mapped[str]
    started_at: Mapped[datetime]
    vault: Mapped[Vault] = relationship(lazy="select")
    proofs: Mapped[list["DrillProof"]] = relationship(lazy="selectin", order_by="DrillProof.id")


class DrillProof(Record):
    """A verified signature of a drill's message, and the card and version that gave it."""

    __tablename__ = "drill_proof"
    __table_args__ = (
        UniqueConstraint("drill_id", "pubkey"),
        sized("pubkey", 33),
        sized("signature", 64),
    )

    id: Mapped[Id]
    drill_id: Mapped[int] = mapped_column(ForeignKey("drill.id"))
    pubkey: Mapped[bytes]
    signature: Mapped[bytes]
    card_id: Mapped[int] = mapped_column(ForeignKey("card.id"))
    card_version: Mapped[str]
    given_at: Mapped[datetime]
    card: Mapped[Card] = relationship(lazy="joined")
