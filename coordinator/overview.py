"""What the vaults own and where their payments stand, kept in step with the chain."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import news, wallet
from coordinator.chain import ChainSource, Tip
from coordinator.coins import confirmations, tip_height
from coordinator.news import News
from coordinator.settings import EMBEDDED_CHAIN, Home
from coordinator.wallet import Balance
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import chain_events as event_book
from storage import vaults as vault_book
from storage.model import Ceremony, Vault

Database = sessionmaker[Session]


@dataclass(frozen=True)
class Synced:
    """The chain's tip, and what it took back since the last sync."""

    tip: Tip
    news: list[News]


class CeremonyLine(NamedTuple):
    """A ceremony in a list."""

    id: str
    vault: str
    state: str
    txid: str
    fee_sats: int
    signatures: int
    expires: datetime
    sent_at: datetime | None
    height: int | None
    confirmations: int
    final: bool

    def document(self) -> dict[str, Any]:
        """Return the ceremony as a list shows it."""
        return {"ceremony": self.id, **self._asdict()}


def sync(database: Database, chain: ChainSource, vault: str | None) -> Synced:
    """Bring one vault or all in step with the chain."""
    tip = chain.tip()
    with database.begin() as db:
        before = event_book.newest_id(db)
        for record in _vaults(db, vault):
            tip = wallet.sync(db, record, chain)
        return Synced(tip, news.since(db, before))


def freshen(
    home: Home, database: Database, open_chain: Callable[[], ChainSource], vault: str | None
) -> None:
    """Sync where that does not leave the home: the embedded chain costs nothing to ask."""
    if home.chain == EMBEDDED_CHAIN:
        with database.begin() as db:
            for record in _vaults(db, vault):
                wallet.sync(db, record, open_chain())


def balances(database: Database, vault: str | None) -> dict[str, Balance]:
    """Return the amounts of one vault or all, by name."""
    with database.begin() as db:
        return {record.name: wallet.balance(db, record) for record in _vaults(db, vault)}


def ceremonies(database: Database) -> list[CeremonyLine]:
    """Return every ceremony, newest first."""
    with database.begin() as db:
        tips = {vault.id: tip_height(db, vault) for vault in vault_book.all_vaults(db)}
        return [
            ceremony_line(found, tips[found.vault_id]) for found in ceremony_book.all_ceremonies(db)
        ]


def ceremony_line(found: Ceremony, tip: int) -> CeremonyLine:
    """Return a ceremony as a list has it, in the light of the height of the tip."""
    depth = confirmations(found.confirmed_height, tip)
    return CeremonyLine(
        found.public_id,
        found.vault.name,
        found.state,
        found.txid,
        found.fee_sats,
        len(found.signatures),
        found.expires_at,
        found.broadcast_at,
        found.confirmed_height,
        depth,
        depth >= news.FINAL_CONFIRMATIONS,
    )


def known_tip(database: Database, vault: str) -> Tip | None:
    """Return the tip a vault was last synced to."""
    with database.begin() as db:
        state = chain_book.sync_state(db, vault_book.vault_named(db, vault))
        return Tip(state.height, state.block_hash) if state else None


def _vaults(db: Session, name: str | None) -> Iterable[Vault]:
    return [vault_book.vault_named(db, name)] if name else vault_book.all_vaults(db)
