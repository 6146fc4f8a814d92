"""From where to where a vault was looked for in the chain, keychain by keychain."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.model import Scan, Vault


class Looked(NamedTuple):
    """A keychain's scripts below `reach` were looked for in all blocks from one height to another.

    `earlier_unknown` where the source had no blocks before that.
    """

    from_height: int
    reach: int
    height: int
    block_hash: str
    earlier_unknown: bool


def scans_of(db: Session, vault: Vault) -> dict[int, Looked]:
    """Return how far each keychain of a vault was looked for; none before the first scan."""
    rows = db.scalars(select(Scan).where(Scan.vault_id == vault.id))
    return {
        row.keychain: Looked(
            row.from_height, row.reach, row.height, row.block_hash, row.earlier_unknown
        )
        for row in rows
    }


def set_scan(db: Session, vault: Vault, keychain: int, *, looked: Looked) -> None:
    """Remember how far a keychain of a vault was looked for."""
    db.merge(Scan(vault_id=vault.id, keychain=keychain, **looked._asdict()))
    db.flush()
