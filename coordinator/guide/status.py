"""The one screen a person opens first: what is there, what waits for whom, what to do next."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.audit import rule_findings
from coordinator.audit.gathering import Book, book
from coordinator.chain import ChainSource, Tip
from coordinator.custody import log as custody_log
from coordinator.errors import ChainUnreachable
from coordinator.guide.facts import GuideFacts, gather
from coordinator.guide.payments import Standing
from coordinator.guide.steps import is_safe, next_steps
from coordinator.home import undelivered
from coordinator.home.settings import EMBEDDED_CHAIN, Home
from coordinator.incident.step import Step
from coordinator.notices import Notice, Severity
from coordinator.wallet import balance
from coordinator.wallet import sync as wallet_sync
from coordinator.wallet.balance import Owned
from coordinator.wallet.news import News
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import sealing
from storage import vaults as vault_book
from storage.database import is_read_only, reading
from storage.model import Vault
from storage.succession import all_successions

CLOCK_LEEWAY = timedelta(minutes=10)
UNSCRUBBED = Notice(
    "places_unscrubbed",
    Severity.WARNING,
    "free pages hold places in plain text",
    "run custody seal again",
)


class Status(NamedTuple):
    """The one screen of `status`; `next` is what to do, the most pressing first.

    `dangers` are each with the name of its vault. `safe` tells whether a vault is in use that
    lacks nothing (`guide.steps.is_safe`).
    """

    network: str
    tip: Tip | None
    vaults: list[tuple[str, Owned]]
    ceremonies: list[Standing]
    news: list[News]
    due: list[Notice]
    next: list[Step]
    dangers: list[tuple[str, Notice]]
    safe: bool


def waits_for_cards(database: sessionmaker[Session]) -> bool:
    """Tell whether a payment waits for cards, so that sealed names of places are wanted."""
    with reading(database).begin() as db:
        return sealing.is_locked(db) and ceremony_book.any_collects(db)


def status(
    home: Home, database: sessionmaker[Session], open_chain: Callable[[], ChainSource]
) -> Status:
    """Return the one screen; nobody outside this computer is asked for it."""
    with reading(database).begin() as db:
        vaults = vault_book.all_vaults(db)
        owned = {vault.name: balance.owned(db, vault) for vault in vaults}
        said = book(db, vaults)
        writable = not is_read_only(database)
        facts = gather(home, db, writable=writable, said=said, owned=owned)
        return Status(
            home.network,
            _tip(db, home, vaults, open_chain=open_chain),
            list(owned.items()),
            list(facts.payments),
            list(facts.news),
            [*_undelivered(home, db), *_server_clock(home, db), *_due(db, said, facts)],
            next_steps(facts),
            [(vault.name, found) for vault in facts.vaults for found in vault.dangers],
            is_safe(facts),
        )


def _tip(
    db: Session, home: Home, vaults: Sequence[Vault], *, open_chain: Callable[[], ChainSource]
) -> Tip | None:
    """Return the newest block; of a chain elsewhere the newest that a vault was synced to."""
    if home.chain == EMBEDDED_CHAIN:
        with suppress(ChainUnreachable):
            return wallet_sync.tip(db, open_chain(), vaults)
        return None
    known = (chain_book.sync_state(db, vault) for vault in vaults)
    return max((Tip(*state) for state in known if state), default=None)


def _undelivered(home: Home, db: Session) -> Iterable[Notice]:
    """Return what is to be said of signatures that wait in the home."""
    if not undelivered.is_any(home):
        return ()
    from coordinator.payment import delivery  # noqa: PLC0415 -- seldom, costs 40 ms

    return delivery.notices(home, db)


def _server_clock(home: Home, db: Session) -> Iterator[Notice]:
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


def _due(db: Session, said: Book, facts: GuideFacts) -> Iterator[Notice]:
    """Yield what waits for somebody.

    A sealing that was cut off, cards nobody ever placed, coins that came to old vaults, drills.
    `said` is the book, `facts` what was gathered from it.
    """
    if facts.late_clock is not None:
        yield facts.late_clock
    if not facts.scrubbed:
        yield UNSCRUBBED
    here = (card for card in said.cards.values() if card.forgotten_at is None)
    for card in sorted(here, key=lambda card: card.label):
        if custody_log.whereabouts(said.events.get(card.item_id, ())) == (None, None):
            item = f"card:{card.label}"
            told = f"write down where {item} lies"
            yield Notice("place_unknown", Severity.WARNING, told, subjects=(item,))
    for each in all_successions(db):
        name, sats = each.vault.name, balance.owned(db, each.vault).balance.free_sats
        if sats:
            yield Notice(
                "replaced_holds_coins",
                Severity.WARNING,
                f"{sats} sat are in vault {name}, which was replaced",
                f"cardquorum replace sweep {name}",
                (f"vault:{name}",),
            )
    for vault in facts.vaults_in_use:
        yield from vault.due
    for vault in facts.vaults_in_use:
        yield from rule_findings.overdue(vault.facts, facts.now)
