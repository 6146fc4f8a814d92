"""Copies of descriptors."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, raiseload

from storage.model import DescriptorCopy, Item, Vault


def add_copy(
    db: Session,
    vault: Vault,
    item: Item,
    *,
    digest: bytes,
    now: datetime,
    told_block: int | None = None,
) -> DescriptorCopy:
    """Remember that an item holds a descriptor of this SHA-256, of this vault.

    `told_block` is what a letter beside it says of later keys.
    """
    copy = DescriptorCopy(
        vault=vault, item=item, digest=digest, created_at=now, told_block=told_block
    )
    db.add(copy)
    db.flush()
    return copy


def copies_of(db: Session, vault: Vault) -> Sequence[DescriptorCopy]:
    """Return the copies of a vault's descriptor, the oldest first."""
    own = select(DescriptorCopy).where(DescriptorCopy.vault_id == vault.id)
    known = raiseload(DescriptorCopy.vault, sql_only=True)  # it is the vault given
    return db.scalars(own.order_by(DescriptorCopy.id).options(known)).all()


def hand_over(db: Session, old: Item, new: Item) -> None:
    """Have a thing be the copy that another was, which was the same under a wrong name."""
    for copy in db.scalars(select(DescriptorCopy).where(DescriptorCopy.item_id == old.id)):
        copy.item = new
    db.flush()


def remove_copy(db: Session, item: Item) -> None:
    """Forget that an item holds a descriptor."""
    for copy in db.scalars(select(DescriptorCopy).where(DescriptorCopy.item_id == item.id)):
        db.delete(copy)
    db.flush()
