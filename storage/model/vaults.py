"""Vaults, their cosigners, and the proofs of their keys."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.cards import Key
from storage.model.record import Id, Record, at_least, one_of, sized

SCRIPTS = ("wsh", "sh-wsh", "sh")


class Vault(Record):
    """A policy with a name, a network and a birthday."""

    __tablename__ = "vault"
    __table_args__ = (
        one_of("script", SCRIPTS),
        sized("checksum", 8),
        CheckConstraint("threshold BETWEEN 1 AND 15", name="threshold_range"),
        at_least("birthday_height", 0),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    network: Mapped[str]
    script: Mapped[str]
    threshold: Mapped[int]
    descriptor: Mapped[str] = mapped_column(unique=True)
    checksum: Mapped[str]
    birthday: Mapped[datetime | None]
    birthday_height: Mapped[int | None]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    cosigners: Mapped[list["Cosigner"]] = relationship(
        back_populates="vault", lazy="selectin", order_by="Cosigner.position"
    )


class Cosigner(Record):
    """A key's place in a policy and the name it goes by there."""

    __tablename__ = "cosigner"
    __table_args__ = (
        UniqueConstraint("vault_id", "position"),
        UniqueConstraint("vault_id", "key_id"),
        CheckConstraint("position BETWEEN 0 AND 14", name="position_range"),
    )

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"))
    position: Mapped[int]
    key_id: Mapped[int] = mapped_column(ForeignKey("key.id"), index=True)
    label: Mapped[str]
    vault: Mapped[Vault] = relationship(back_populates="cosigners", lazy="raise_on_sql")
    key: Mapped[Key] = relationship(lazy="selectin")


class Verification(Record):
    """That a vault's key was to be proved, and whether it was, under the descriptor of then.

    `policy_digest` is the SHA-256 of that descriptor: a proof for another policy is none.
    """

    __tablename__ = "verification"

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), index=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("key.id"))
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"))
    at: Mapped[datetime]
    matched: Mapped[bool]
    detail: Mapped[str]
    policy_digest: Mapped[bytes | None]
