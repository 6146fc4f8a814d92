"""Keys, and the things that carry them."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.record import Check, Id, Record, at_least, one_of, sized, unique_while

CREATED_ON = ("card", "host", "unknown", "elsewhere")
ITEM_KINDS = ("card", "plate", "words", "backup-file", "backup-key", "file", "bag", "copy")
ATTESTATIONS = ("genuine", "test", "unproven")


class Key(Record):
    """An extended public key with its origin, known whole.

    `made_at` is when this home had it made; none where it may have been there before.
    """

    __tablename__ = "key"
    __table_args__ = (
        UniqueConstraint("public_key", "chain_code"),
        sized("fingerprint", 4),
        sized("public_key", 33),
        sized("chain_code", 32),
        sized("parent_fingerprint", 4),
        Check("depth BETWEEN 0 AND 255", name="depth_range"),
        Check("child_number BETWEEN 0 AND 4294967295", name="child_number_range"),
        one_of("created_on", CREATED_ON),
    )

    id: Mapped[Id]
    label: Mapped[str] = mapped_column(unique=True)
    network: Mapped[str]
    fingerprint: Mapped[bytes]
    path: Mapped[str]
    public_key: Mapped[bytes]
    chain_code: Mapped[bytes]
    depth: Mapped[int]
    parent_fingerprint: Mapped[bytes]
    child_number: Mapped[int] = mapped_column(BigInteger)
    created_on: Mapped[str]
    created_at: Mapped[datetime]
    made_at: Mapped[datetime | None]
    carriers: Mapped[list["Carrier"]] = relationship(
        lazy="selectin",
        order_by="Carrier.id",
        primaryjoin="and_(Carrier.key_id == Key.id, Carrier.retired_at.is_(None))",
        viewonly=True,
    )


class Item(Record):
    """A thing custody events are about; a retired one frees its name."""

    __tablename__ = "item"
    __table_args__ = (unique_while("retired_at", "kind", "name"), one_of("kind", ITEM_KINDS))

    id: Mapped[Id]
    kind: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class Card(Record):
    """A physical card, known by its family and card_id; a forgotten one frees its label."""

    __tablename__ = "card"
    __table_args__ = (
        unique_while("forgotten_at", "label"),
        unique_while("forgotten_at", "family", "card_id"),
        Check("emulated = (emulator_name IS NOT NULL)", name="emulated_named"),
        one_of("attestation", ATTESTATIONS),
        at_least("siblings", 0),
    )

    id: Mapped[Id]
    label: Mapped[str]
    family: Mapped[str]
    card_id: Mapped[str]
    version: Mapped[str]
    emulated: Mapped[bool]
    emulator_name: Mapped[str | None]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), unique=True)
    attestation: Mapped[str]
    attestation_reason: Mapped[str]
    attested_at: Mapped[datetime]
    siblings: Mapped[int]
    enrolled_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    forgotten_at: Mapped[datetime | None]
    item: Mapped[Item] = relationship(lazy="joined")


class Carrier(Record):
    """That an item can bring a key back: one key, one or more carriers, none of them retired.

    `leaf_proved_at` is when a card last answered a BIP 340 challenge with a leaf of that key.
    """

    __tablename__ = "carrier"
    __table_args__ = (UniqueConstraint("key_id", "item_id"),)

    id: Mapped[Id]
    key_id: Mapped[int] = mapped_column(ForeignKey("key.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    leaf_proved_at: Mapped[datetime | None]
    key: Mapped[Key] = relationship(lazy="raise_on_sql")
    item: Mapped[Item] = relationship(lazy="joined")
