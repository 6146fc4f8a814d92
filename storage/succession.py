"""Vaults that took others' places."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.lookup import absent
from storage.model import Succession, Vault


def add_succession(db: Session, succession: Succession) -> None:
    """Remember that a vault took another's place; raises AlreadyExists where one did already."""
    earlier = succession_of(db, succession.vault)
    absent(earlier, "successor", earlier.successor.name if earlier else "")
    db.add(succession)
    db.flush()


def succession_of(db: Session, vault: Vault) -> Succession | None:
    """Return what took a vault's place."""
    return db.scalars(select(Succession).where(Succession.vault_id == vault.id)).one_or_none()


def all_successions(db: Session) -> Sequence[Succession]:
    """Return every one, the oldest first."""
    return db.scalars(select(Succession).order_by(Succession.id)).all()
