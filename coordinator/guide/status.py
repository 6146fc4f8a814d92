"""The one screen a person opens first: what is there, what waits for whom, what to do next."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator.audit.gathering import book
from coordinator.chain import ChainSource, Tip
from coordinator.errors import ChainUnreachable
from coordinator.guide.due import due, server_clock
from coordinator.guide.facts import gather
from coordinator.guide.payments import Standing
from coordinator.guide.steps import is_safe, next_steps
from coordinator.home import undelivered
from coordinator.home.settings import EMBEDDED_CHAIN, Home
from coordinator.incident.step import Step
from coordinator.notices import Notice
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

Database = sessionmaker[Session]

VaultDanger = tuple[str, Notice]


class Status(NamedTuple):
    """The one screen of `status`; `next` is what to do, the most pressing first.

    `safe` tells whether a vault is in use that lacks nothing (`guide.steps.is_safe`).
    """

    network: str
    tip: Tip | None
    vaults: list[tuple[str, Owned]]
    ceremonies: list[Standing]
    news: list[News]
    due: list[Notice]
    next: list[Step]
    dangers: list[VaultDanger]
    safe: bool


def waits_for_cards(database: Database) -> bool:
    """Tell whether a payment waits for cards, so that sealed names of places are wanted."""
    with reading(database).begin() as db:
        return sealing.is_locked(db) and ceremony_book.any_collects(db)


def status(home: Home, database: Database, open_chain: Callable[[], ChainSource]) -> Status:
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
            [*_undelivered(home, db), *server_clock(home, db), *due(db, said, facts)],
            next_steps(facts),
            [(vault.name, found) for vault in facts.vaults for found in vault.dangers],
            is_safe(facts),
        )


def _undelivered(home: Home, db: Session) -> Iterable[Notice]:
    """Return what is to be said of signatures that wait in the home."""
    if not undelivered.is_any(home):
        return ()
    from coordinator.payment import delivery  # noqa: PLC0415 -- seldom, costs 40 ms

    return delivery.notices(home, db)


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
