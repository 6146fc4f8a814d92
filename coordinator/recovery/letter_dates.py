"""Which block a letter tells as the one later keys can spend from, and whether that is still so.

The letter is right until the coins it went by have moved; a wait for a height never changes.
"""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from coordinator.custody import log as custody_log
from coordinator.home.stored_policies import stored_policy
from coordinator.notices import Notice, Severity
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


def stale_letters(db: Session, vault: Vault) -> Iterator[Notice]:
    """Yield the letters that tell another block than is true by now; first of subjects the copy."""
    if not vault.recoveries:
        return
    true = told_block(db, vault)
    for copy in copy_book.copies_of(db, vault):
        stale = copy.told_block is not None and copy.told_block != true
        if stale and custody_log.where_is(db, copy.item).gone is None:
            name = custody_log.item_name(copy.item)
            yield Notice(
                "letter_stale",
                Severity.WARNING,
                f"the letter of {name} tells a date that is no longer right: coins have moved",
                f"print it again and put it in the old one's place: cardquorum kit {vault.name} "
                "--out DIR --location LOCATION",
                (name, f"vault:{vault.name}"),
            )
