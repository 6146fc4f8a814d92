"""Vaults, their cosigners, the branches that open later, and the proofs of their keys."""

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.cards import Key
from storage.model.record import Check, Id, Record, at_least, one_of, sized

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPTS = ("wsh", "sh-wsh", "sh", "tr")
PRIMARY = "primary"
RECOVERIES = ("recovery", "recovery-2")


class Vault(Record):
    """A policy with a name, a network and a birthday.

    How its script is written, and which keychains each key has, stands in the descriptor alone.
    `refresh_months` is how often its owner wants to move its coins to itself, None where nobody
    said.
    """

    __tablename__ = "vault"
    __table_args__ = (
        one_of("script", SCRIPTS),
        sized("checksum", 8),
        Check("threshold BETWEEN 1 AND 15", name="threshold_range"),
        at_least("birthday_height", 0),
        Check("refresh_months BETWEEN 1 AND 120", name="refresh_months_range"),
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
    refresh_months: Mapped[int | None]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    cosigners: Mapped[list["Cosigner"]] = relationship(
        lazy="selectin", order_by="Cosigner.position"
    )
    recoveries: Mapped[list["VaultBranch"]] = relationship(
        lazy="selectin", order_by="VaultBranch.position"
    )

    @property
    def every_key(self) -> list["Cosigner | BranchKey"]:
        """Return the place of each key, once: as a cosigner, else in the first branch it is in."""
        places: list[Cosigner | BranchKey] = [*self.cosigners]
        for branch in self.recoveries:
            places += branch.keys
        known: dict[int, Cosigner | BranchKey] = {}
        for place in places:
            known.setdefault(place.key_id, place)
        return list(known.values())

    def keys_of(self, branch: str | None) -> "Sequence[Cosigner | BranchKey]":
        """Return the places of a branch's keys in its order, or of all; an unknown one has none."""
        if branch is None:
            return self.every_key
        if branch == PRIMARY:
            return self.cosigners
        return next((each.keys for each in self.recoveries if each.name == branch), ())

    def needed(self, branch: str) -> int:
        """Return how many signatures a branch takes; the primary's where there is no such."""
        later = {each.name: each.threshold for each in self.recoveries}
        return later.get(branch, self.threshold)


class Cosigner(Record):
    """A key's place in a policy and the name it goes by there."""

    __tablename__ = "cosigner"
    __table_args__ = (
        UniqueConstraint("vault_id", "position"),
        UniqueConstraint("vault_id", "key_id"),
        Check("position BETWEEN 0 AND 14", name="position_range"),
    )

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"))
    position: Mapped[int]
    key_id: Mapped[int] = mapped_column(ForeignKey("key.id"), index=True)
    label: Mapped[str]
    key: Mapped[Key] = relationship(lazy="joined")


class VaultBranch(Record):
    """A way to spend that opens once a coin is so many blocks old, or from a height on."""

    __tablename__ = "vault_branch"
    __table_args__ = (
        UniqueConstraint("vault_id", "position"),
        UniqueConstraint("vault_id", "name"),
        one_of("name", RECOVERIES),
        Check("position BETWEEN 1 AND 2", name="position_range"),
        Check("threshold BETWEEN 1 AND 15", name="threshold_range"),
        Check("blocks BETWEEN 1 AND 65535", name="blocks_range"),
        Check("height BETWEEN 1 AND 499999999", name="height_range"),
        Check("(blocks IS NULL) <> (height IS NULL)", name="one_wait"),
    )

    id: Mapped[Id]
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"))
    position: Mapped[int]
    name: Mapped[str]
    threshold: Mapped[int]
    blocks: Mapped[int | None]
    height: Mapped[int | None]
    keys: Mapped[list["BranchKey"]] = relationship(lazy="selectin", order_by="BranchKey.position")


class BranchKey(Record):
    """A key's place in a later branch; a key may have another place in another branch."""

    __tablename__ = "branch_key"
    __table_args__ = (
        UniqueConstraint("branch_id", "position"),
        UniqueConstraint("branch_id", "key_id"),
        Check("position BETWEEN 0 AND 14", name="position_range"),
    )

    id: Mapped[Id]
    branch_id: Mapped[int] = mapped_column(ForeignKey("vault_branch.id"))
    position: Mapped[int]
    key_id: Mapped[int] = mapped_column(ForeignKey("key.id"), index=True)
    label: Mapped[str]
    key: Mapped[Key] = relationship(lazy="joined")


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
