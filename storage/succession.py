"""Vaults that took others' places.

The noun is mapped where there is one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import model
from storage.lookup import absent, is_empty

if TYPE_CHECKING:
    from storage.model import Succession, Vault


def add_succession(db: Session, succession: "Succession") -> None:
    """Remember that a vault took another's place; raises AlreadyExists where one did already."""
    earlier = succession_of(db, succession.vault)
    absent(earlier, "successor", earlier.successor.name if earlier else "")
    db.add(succession)
    db.flush()


def succession_of(db: Session, vault: "Vault") -> "Succession | None":
    """Return what took a vault's place."""
    if is_empty(db, "succession"):
        return None
    own = select(model.Succession).where(model.Succession.vault_id == vault.id)
    return db.scalars(own).one_or_none()


def all_successions(db: Session) -> Sequence["Succession"]:
    """Return every one, the oldest first."""
    if is_empty(db, "succession"):
        return []
    return db.scalars(select(model.Succession).order_by(model.Succession.id)).all()
