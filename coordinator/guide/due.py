"""What waits for somebody: things to write down, to move, to rehearse."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit import rules
from coordinator.audit.gathering import Book, vault_facts
from coordinator.custody import log as custody_log
from coordinator.notices import Notice, Severity
from coordinator.vault.state import state_of
from coordinator.wallet.balance import balance
from storage import cards as card_book
from storage import sealing
from storage import vaults as vault_book
from storage.model import Vault
from storage.succession import all_successions

UNSCRUBBED = Notice(
    "places_unscrubbed",
    Severity.WARNING,
    "free pages hold places in plain text",
    "run custody seal again",
)


def due(db: Session, said: Book) -> list[Notice]:
    """Return what waits for somebody.

    A sealing that was cut off, cards nobody ever placed, coins that came to old vaults, drills.
    `said` is the book, read once for whoever asks more of it.
    """
    unscrubbed = [] if sealing.is_scrubbed(db) else [UNSCRUBBED]
    late = custody_log.behind_clock(db, clock.now())
    return [
        *([late] if late else []),
        *unscrubbed,
        *_unplaced(db, said),
        *_owed(db),
        *_overdue(db, said),
    ]


def _unplaced(db: Session, said: Book) -> Iterator[Notice]:
    for card in card_book.all_cards(db):
        if custody_log.whereabouts(said.events.get(card.item_id, ())) == (None, None):
            item = f"card:{card.label}"
            told = f"write down where {item} lies"
            yield Notice("place_unknown", Severity.WARNING, told, subjects=(item,))


def _owed(db: Session) -> Iterator[Notice]:
    for each in all_successions(db):
        name, sats = each.vault.name, _free(db, each.vault)
        if sats:
            yield Notice(
                "replaced_holds_coins",
                Severity.WARNING,
                f"{sats} sat are in vault {name}, which was replaced",
                f"cardquorum replace sweep {name}",
                (f"vault:{name}",),
            )


def _overdue(db: Session, said: Book) -> Iterator[Notice]:
    for vault in vault_book.all_vaults(db):
        if state_of(db, vault).state == "active":
            yield from rules.overdue(vault_facts(db, vault, said), clock.now())


def _free(db: Session, vault: Vault) -> int:
    """Return what a vault holds that no ceremony does."""
    owned = balance(db, vault)
    return owned.confirmed_sats + owned.pending_sats - owned.reserved_sats
