"""Ceremonies, the signatures they collected, and the coins they hold."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.record import Check, Id, Record, Sats, at_least, one_of, sized, unique_while
from storage.model.vaults import PRIMARY, RECOVERIES, Vault

CEREMONY_STATES = (
    "collecting",
    "complete",
    "final",
    "broadcast",
    "confirmed",
    "abandoned",
    "replaced",
)


UNITS = ("sat", "btc")


class Ceremony(Record):
    """The signing of one PSBT until quorum; `branch` is the way in which it spends.

    `unit` is the one that a person typed its amounts in, None where nobody knows.
    """

    __tablename__ = "ceremony"
    __table_args__ = (
        one_of("state", CEREMONY_STATES),
        one_of("branch", (PRIMARY, *RECOVERIES)),
        one_of("unit", UNITS),
        sized("public_id", 8),
        sized("txid", 64),
        at_least("fee_sats", 0),
        at_least("paid_sats", 0),
        Check("expires_at > created_at", name="expires_later"),
        Check("(final_tx IS NULL) = (consensus IS NULL)", name="final_checked"),
    )

    id: Mapped[Id]
    public_id: Mapped[str] = mapped_column(unique=True)
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), index=True)
    state: Mapped[str]
    branch: Mapped[str]
    unit: Mapped[str | None]
    psbt: Mapped[bytes]
    txid: Mapped[str] = mapped_column(index=True)
    fee_sats: Mapped[Sats]
    paid_sats: Mapped[Sats]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    lifetime_seconds: Mapped[int]
    opened_on: Mapped[str | None]
    exported_at: Mapped[datetime | None]
    final_tx: Mapped[bytes | None]
    consensus: Mapped[str | None]
    broadcast_at: Mapped[datetime | None]
    confirmed_height: Mapped[int | None]
    vault: Mapped[Vault] = relationship(lazy="select")
    signatures: Mapped[list["Signature"]] = relationship(lazy="selectin", order_by="Signature.id")

    @property
    def lifetime(self) -> timedelta:
        """Return for how long its coins are reserved each time."""
        return timedelta(seconds=self.lifetime_seconds)


class Signature(Record):
    """A verified signature of one input by one key of the policy."""

    __tablename__ = "signature"
    __table_args__ = (
        UniqueConstraint("ceremony_id", "input_index", "pubkey"),
        sized("pubkey", 33),
        sized("signature", 64),
        at_least("input_index", 0),
    )

    id: Mapped[Id]
    ceremony_id: Mapped[int] = mapped_column(ForeignKey("ceremony.id"))
    input_index: Mapped[int]
    pubkey: Mapped[bytes]
    signature: Mapped[bytes]
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"))
    received_at: Mapped[datetime]


class Reservation(Record):
    """That a ceremony holds a coin until it expires or lets go; one ceremony at a time."""

    __tablename__ = "reservation"
    __table_args__ = (unique_while("released_at", "txid", "vout"),)

    id: Mapped[Id]
    ceremony_id: Mapped[int] = mapped_column(ForeignKey("ceremony.id"), index=True)
    txid: Mapped[str]
    vout: Mapped[int]
    expires_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
