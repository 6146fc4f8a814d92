"""What waits for somebody: things to write down, to move, to rehearse."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.audit import rule_findings
from coordinator.audit.gathering import Book
from coordinator.custody import log as custody_log
from coordinator.guide.facts import GuideFacts, VaultStanding
from coordinator.home.settings import Home
from coordinator.notices import Notice, Severity
from coordinator.wallet.balance import owned
from storage.succession import all_successions

CLOCK_LEEWAY = timedelta(minutes=10)
UNSCRUBBED = Notice(
    "places_unscrubbed",
    Severity.WARNING,
    "free pages hold places in plain text",
    "run custody seal again",
)


def due(db: Session, said: Book, facts: GuideFacts) -> list[Notice]:
    """Return what waits for somebody.

    A sealing that was cut off, cards nobody ever placed, coins that came to old vaults, drills.
    `said` is the book, `facts` what was gathered from it.
    """
    return [
        *([facts.late_clock] if facts.late_clock else []),
        *([] if facts.scrubbed else [UNSCRUBBED]),
        *_unplaced(said),
        *_owed(db),
        *(each for vault in facts.vaults if vault.in_use for each in vault.due),
        *_overdue(facts.vaults, facts.now),
    ]


def server_clock(home: Home, db: Session) -> Iterator[Notice]:
    """Yield that the clock of the database's server is far off this computer's."""
    if home.server is None:
        return
    from storage.postgresql import server_time  # noqa: PLC0415 -- few homes have a server

    ahead = server_time(db) - clock.now()
    if abs(ahead) > CLOCK_LEEWAY:
        minutes = round(abs(ahead).total_seconds() / 60)
        way = "ahead of" if ahead > timedelta() else "behind"
        yield Notice(
            "server_clock_off",
            Severity.WARNING,
            f"the clock of the database's server is {minutes} minutes {way} this computer's",
            "set the wrong one; when coins are free again goes by this computer's",
        )


def _unplaced(said: Book) -> Iterator[Notice]:
    here = (card for card in said.cards.values() if card.forgotten_at is None)
    for card in sorted(here, key=lambda card: card.label):
        if custody_log.whereabouts(said.events.get(card.item_id, ())) == (None, None):
            item = f"card:{card.label}"
            told = f"write down where {item} lies"
            yield Notice("place_unknown", Severity.WARNING, told, subjects=(item,))


def _owed(db: Session) -> Iterator[Notice]:
    for each in all_successions(db):
        name, sats = each.vault.name, owned(db, each.vault).balance.free_sats
        if sats:
            yield Notice(
                "replaced_holds_coins",
                Severity.WARNING,
                f"{sats} sat are in vault {name}, which was replaced",
                f"cardquorum replace sweep {name}",
                (f"vault:{name}",),
            )


def _overdue(vaults: Iterable[VaultStanding], now: datetime) -> Iterator[Notice]:
    for vault in vaults:
        if vault.in_use:
            yield from rule_findings.overdue(vault.facts, now)
