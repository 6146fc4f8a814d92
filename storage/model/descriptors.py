"""Copies of descriptors: paper or files that find a vault's coins."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from storage.model.cards import Item
from storage.model.record import Id, Record, sized
from storage.model.vaults import Vault


class DescriptorCopy(Record):
    """An item that holds a vault's descriptor, and the SHA-256 of the text it holds.

    `told_block` is the block from which on a letter beside it says that later keys can spend, None
    where it tells none.
    """

    __tablename__ = "descriptor_copy"
    __table_args__ = (sized("digest", 32),)

    id: Mapped[Id]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), unique=True)
    vault_id: Mapped[int] = mapped_column(ForeignKey("vault.id"), index=True)
    digest: Mapped[bytes]
    created_at: Mapped[datetime]
    told_block: Mapped[int | None]
    item: Mapped[Item] = relationship(lazy="joined")
    vault: Mapped[Vault] = relationship(lazy="select")
