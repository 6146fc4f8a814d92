"""What the block chain took back."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.record import Id, Record, Sats, at_least, one_of, sized
from storage.model.vaults import Vault

CHAIN_EVENTS = ("unconfirmed", "vanished")


class ChainEvent(Record):
    """That the chain took back what it had told: a block that is no more, a payment that is gone.

    `height` is the block it was in, `change_sats` what it had changed for the vault.
    """

    __tablename__ = "chain_event"
    __table_args__ = (
        one_of("code", CHAIN_EVENTS),
        sized("txid", 64),
        sized("replaced_by", 64),
        at_least("height", 0),
    )

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), index=True)
    code: Mapped[str]
    txid: Mapped[str]
    height: Mapped[int | None]
    replaced_by: Mapped[str | None]
    change_sats: Mapped[Sats]
    noticed_at: Mapped[datetime]
    vault: Mapped[Vault] = relationship(lazy="select")
