"""What the block chain told about a vault."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.model.record import Check, Id, Record, Sats, at_least, sized


class Address(Record):
    """A script of a vault that was given out, or that the chain has seen used."""

    __tablename__ = "address"
    __table_args__ = (
        UniqueConstraint("vault_id", "keychain", "index"),
        Check("keychain IN (0, 1)", name="keychain_known"),
        Check('"index" BETWEEN 0 AND 2147483647', name="index_range"),
    )

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"))
    keychain: Mapped[int]
    index: Mapped[int]
    script_pubkey: Mapped[bytes] = mapped_column(index=True)
    issued_at: Mapped[datetime | None]
    used: Mapped[bool]


class ChainTransaction(Record):
    """A transaction that pays or spends a vault's coins; without a height it waits."""

    __tablename__ = "chain_transaction"
    __table_args__ = (
        sized("txid", 64),
        Check("(height IS NULL) = (block_hash IS NULL)", name="block_whole"),
        at_least("height", 0),
    )

    id: Mapped[Id]
    txid: Mapped[str] = mapped_column(unique=True)
    raw: Mapped[bytes]
    height: Mapped[int | None]
    block_hash: Mapped[str | None]
    block_time: Mapped[datetime | None]
    first_seen: Mapped[datetime]


class Coin(Record):
    """An output of a vault, and the transaction that spent it."""

    __tablename__ = "coin"
    __table_args__ = (
        UniqueConstraint("txid", "vout", "vault_id"),
        Index("ix_coin_unspent", "vault_id", "spent_by"),
        at_least("value_sats", 0),
        at_least("vout", 0),
        Check("spent_height IS NULL OR spent_by IS NOT NULL", name="spent_height_by_someone"),
    )

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"))
    txid: Mapped[str]
    vout: Mapped[int]
    value_sats: Mapped[Sats]
    keychain: Mapped[int]
    index: Mapped[int]
    script_pubkey: Mapped[bytes]
    height: Mapped[int | None]
    coinbase: Mapped[bool]
    spent_by: Mapped[str | None] = mapped_column(index=True)
    spent_height: Mapped[int | None]


class SyncState(Record):
    """The block up to which a vault's coins are known.

    `chain_state` is the chain source's name for what it held then, of a source that names it.
    """

    __tablename__ = "sync_state"

    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), primary_key=True)
    height: Mapped[int]
    block_hash: Mapped[str]
    synced_at: Mapped[datetime]
    chain_state: Mapped[str | None]


class Scan(Record):
    """From which block on, and how many scripts of a keychain, the chain was looked through.

    `earlier_unknown` where the source had no blocks before `from_height`.
    """

    __tablename__ = "scan"
    __table_args__ = (
        Check("keychain IN (0, 1)", name="keychain_known"),
        at_least("from_height", 0),
        at_least("reach", 0),
        at_least("height", 0),
        sized("block_hash", 64),
    )

    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), primary_key=True)
    keychain: Mapped[int] = mapped_column(primary_key=True)
    from_height: Mapped[int]
    reach: Mapped[int]
    height: Mapped[int]
    block_hash: Mapped[str]
    earlier_unknown: Mapped[bool]
