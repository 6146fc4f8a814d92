"""Which block a letter tells as the one later keys can spend from, and whether that is still so.

The letter is right until the coins it went by have moved; a wait for a height never changes.
"""

from sqlalchemy.orm import Session

from coordinator.custody import log as custody_log
from coordinator.home.stored_policies import stored_policy
from coordinator.wallet.branches import opening
from storage import chain as chain_book
from storage import descriptors as copy_book
from storage.model import Vault


def told_block(db: Session, vault: Vault) -> int | None:
    """Return the block that a letter of now tells; None where none is known, or none can change."""
    if not vault.recoveries:
        return None
    heights = [coin.height for coin in chain_book.unspent_coins(db, vault)]
    found = [
        opens.height
        for branch in stored_policy(vault).recoveries
        if branch.wait is not None and branch.wait.blocks is not None
        if (opens := opening(branch, heights, None)) is not None
    ]
    return min(found, default=None)


def stale_letters(db: Session, vault: Vault) -> list[str]:
    """Return the copies, as kind:name, whose letter tells another block than is true by now."""
    if not vault.recoveries:
        return []
    true = told_block(db, vault)
    return [
        custody_log.item_name(copy.item)
        for copy in copy_book.copies_of(db, vault)
        if copy.told_block is not None
        and copy.told_block != true
        and custody_log.where_is(db, copy.item).gone is None
    ]
