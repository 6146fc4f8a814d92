"""Copies of a vault's descriptor: which version each holds, and whether that is the vault's own."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.custody import log as custody_log
from coordinator.home.stored_policies import computed_checksum
from coordinator.names import checked_name
from storage import cards as card_book
from storage import descriptors as copy_book
from storage import succession as succession_book
from storage import vaults as vault_book
from storage.model import DescriptorCopy, Item, Vault

KIND = "copy"


class CopyLine(NamedTuple):
    """A copy of a vault's descriptor as it is shown; a stale one is not of the vault's own."""

    copy: str
    vault: str
    version: str | None
    digest: str
    created_at: datetime
    location: str | None
    gone: str | None
    stale: bool


def digest_of(descriptor: str) -> bytes:
    """Return the SHA-256 of a descriptor's text, which every kit prints."""
    return hashlib.sha256(descriptor.encode()).digest()


def add(
    db: Session, vault_name: str, label: str, *, location: str | None, told_block: int | None = None
) -> CopyLine:
    """Remember a copy of the descriptor the vault has now; raises NotFound or AlreadyExists."""
    vault, now = vault_book.vault_named(db, vault_name), clock.now()
    item = card_book.add_item(db, KIND, checked_name(label), now=now)
    digest = digest_of(vault.descriptor)
    copy = copy_book.add_copy(db, vault, item, digest=digest, now=now, told_block=told_block)
    if location is not None:
        custody_log.record(db, custody_log.NewEvent(f"{KIND}:{label}", "placed", at=location))
    return _line(db, copy)


def listed(db: Session, vault_name: str) -> list[CopyLine]:
    """Return the copies of a vault's descriptor, the oldest first."""
    vault = vault_book.vault_named(db, vault_name)
    return [_line(db, copy) for copy in copy_book.copies_of(db, vault)]


def about(db: Session, vault: Vault) -> list[Item]:
    """Return the copies of a vault's descriptor that are not gone."""
    items = (copy.item for copy in copy_book.copies_of(db, vault))
    return [i for i in items if custody_log.where_is(db, i).gone is None]


def _line(db: Session, copy: DescriptorCopy) -> CopyLine:
    place, gone = custody_log.where_is(db, copy.item)
    replaced = succession_book.succession_of(db, copy.vault) is not None
    return CopyLine(
        custody_log.item_name(copy.item),
        copy.vault.name,
        computed_checksum(copy.vault),
        copy.digest.hex(),
        copy.created_at,
        place,
        gone,
        replaced or copy.digest != digest_of(copy.vault.descriptor),
    )
