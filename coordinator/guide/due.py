"""What waits for somebody: things to write down, to move, to rehearse."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit import rules
from coordinator.audit.facts import vault_facts
from coordinator.custody import log as custody_log
from coordinator.vault.vaults import standing
from coordinator.wallet import sync as wallet_sync
from storage import cards as card_book
from storage import custody as custody_book
from storage import sealing
from storage import vaults as vault_book
from storage.model import Vault
from storage.succession import all_successions

UNSCRUBBED = "free pages hold places in plain text: run custody seal again"


def due(db: Session) -> list[str]:
    """Return what waits for somebody.

    A sealing that was cut off, cards nobody ever placed, coins that came to old vaults, drills.
    """
    unscrubbed = [] if sealing.is_scrubbed(db) else [UNSCRUBBED]
    late = custody_log.behind_clock(db, clock.now())
    return [*([late] if late else []), *unscrubbed, *_unplaced(db), *_owed(db), *_overdue(db)]


def _unplaced(db: Session) -> Iterator[str]:
    for card in card_book.all_cards(db):
        if custody_log.whereabouts(custody_book.events_of(db, card.item)) == (None, None):
            yield f"write down where card:{card.label} lies"


def _owed(db: Session) -> Iterator[str]:
    for each in all_successions(db):
        name, sats = each.vault.name, _free(db, each.vault)
        if sats:
            yield (
                f"{sats} sat are in vault {name}, which was replaced: "
                f"cardquorum replace sweep {name}"
            )


def _overdue(db: Session) -> Iterator[str]:
    for vault in vault_book.all_vaults(db):
        if standing(db, vault)["state"] == "active":
            for finding in rules.overdue(vault_facts(db, vault), clock.now()):
                yield f"{finding.message}: {finding.remedy}"


def _free(db: Session, vault: Vault) -> int:
    """Return what a vault holds that no ceremony does."""
    owned = wallet_sync.balance(db, vault)
    return owned.confirmed_sats + owned.pending_sats - owned.reserved_sats
