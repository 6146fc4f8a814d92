"""Whether a vault is in use."""

from typing import NamedTuple

from sqlalchemy.orm import Session

from storage import succession as succession_book
from storage.model import Vault


class VaultState(NamedTuple):
    """Whether a vault is active, only watched since another took its place, or retired."""

    state: str
    replaced_by: str | None


def state_of(db: Session, vault: Vault) -> VaultState:
    """Return whether a vault is in use."""
    succession = succession_book.succession_of(db, vault)
    successor = succession.successor.name if succession else None
    state = "retired" if vault.retired_at else "watch" if successor else "active"
    return VaultState(state, successor)
