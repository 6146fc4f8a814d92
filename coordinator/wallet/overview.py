"""What the vaults own and where their payments stand, kept in step with the chain."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple

from coordinator.chain import ChainSource, Tip
from coordinator.errors import ChainError, ChainUnreachable, VaultAltered
from coordinator.home import statement_checks
from coordinator.home.operators import NOBODY, Operator
from coordinator.home.settings import EMBEDDED_CHAIN, OFFLINE, Home
from coordinator.wallet import news, node_rules, scans
from coordinator.wallet import sync as wallet_sync
from coordinator.wallet.coins import confirmations, tip_height
from coordinator.wallet.news import News
from coordinator.wallet.scans import Look
from psbt.errors import PsbtError
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import chain_events as event_book
from storage import vaults as vault_book
from storage.database import Database, is_read_only, reading
from storage.model import Ceremony

NEXT_VERB: Final = {"collecting": "sign", "complete": "finalize", "final": "broadcast"}
"""The command that moves a payment on, by where it stands."""


class Synced(NamedTuple):
    """The chain's tip, what it took back since the last sync, and what the source had to say."""

    tip: Tip
    news: list[News]
    notes: list[str]


class CeremonyLine(NamedTuple):
    """A ceremony in a list; `operator` is who opened it."""

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
    operator: Operator = NOBODY


def sync(
    home: Home,
    database: Database,
    chain: ChainSource,
    *,
    vault: str | None,
    look: Look = Look(),  # noqa: B008 -- it is a value
    say: Callable[[str], None],
) -> Synced:
    """Bring one vault or all in step with the chain; what takes long is said before.

    A vault the chain cannot be asked for does not keep the others back; its failure is raised
    after them. One whose rows contradict one another is passed over unless it was named.
    """
    tip = chain.tip()
    with reading(database).begin() as db:
        before = event_book.newest_id(db)
        names = [record.name for record in vault_book.vaults_named(db, vault)]
    notes: list[str] = []
    failures: list[ChainError | PsbtError] = []
    for name in names:
        with reading(database).begin() as db:
            record = vault_book.vault_named(db, name)
            told = scans.effort(home, record, scans.looked(db, record), tip=tip, look=look)
        if told:
            say(told)
        try:
            tip = _followed(database, name, chain, look=look, notes=notes)
        except ChainUnreachable:
            raise
        except VaultAltered:
            if vault is not None:
                raise
        except (ChainError, PsbtError) as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    node_rules.refresh(database, chain)
    with reading(database).begin() as db:
        return Synced(tip, news.since(db, before), notes)


def _followed(
    database: Database, name: str, chain: ChainSource, *, look: Look, notes: list[str]
) -> Tip:
    """Bring a vault in step; the database is free while the chain is asked."""
    following = wallet_sync.Following(chain, look)
    with reading(database).begin() as db:
        tip = following.synced(db, vault_book.vault_named(db, name))
    if tip is not None:
        with database.begin() as db:
            standing = following.standing(db, vault_book.vault_named(db, name))
        if standing is not None:
            return standing

    def known() -> dict[str, int]:
        with reading(database).begin() as db:
            return chain_book.heights(db, vault_book.vault_named(db, name))

    while True:
        with reading(database).begin() as db:
            watch = following.ask(db, vault_book.vault_named(db, name), known)
        update = chain.sync(watch)
        with database.begin() as db:
            if following.take(db, vault_book.vault_named(db, name), update):
                notes += (f"vault {name}: {note}" for note in following.notes)
                return update.tip


def freshen(
    home: Home, database: Database, open_chain: Callable[[], ChainSource], *, vault: str | None
) -> None:
    """Sync where that does not leave the home: the embedded chain costs nothing to ask.

    Nothing is done where nothing happened. A home that can only be read is shown as it was left.
    """
    if home.chain != EMBEDDED_CHAIN or is_read_only(database):
        return
    chain, behind = open_chain(), []
    # A vault whose rows disagree keeps no other back unless it was named: its own commands say it.
    passed_over = (PsbtError,) if vault is None else ()
    with reading(database).begin() as db:
        for record in vault_book.vaults_named(db, vault):
            with suppress(*passed_over):
                tip = wallet_sync.Following(chain).synced(db, record)
                if tip is None or not ceremony_book.is_confirmed(db, record):
                    behind.append(record.name)
    for name in behind:
        with suppress(*passed_over):
            _followed(database, name, chain, look=Look(), notes=[])
    if behind:
        node_rules.refresh(database, chain)


def look_first(
    home: Home, database: Database, open_chain: Callable[[], ChainSource], *, vault: str
) -> None:
    """Bring a vault in step that nobody looked for, where that is done in a moment.

    Raises NotLooked where it is not: what it holds is not known.
    """
    freshen(home, database, open_chain, vault=vault)
    with reading(database).begin() as db:
        record = vault_book.vault_named(db, vault)
        if scans.looked(db, record).known:
            return
        if home.chain == OFFLINE:
            scans.refuse_not_looked(db, home, vault)
    chain = open_chain()
    if scans.is_cheap(home, record, chain.tip()):
        _followed(database, vault, chain, look=Look(), notes=[])
    with database.begin() as db:
        scans.refuse_not_looked(db, home, vault)


def ceremonies(home: Home, database: Database) -> list[CeremonyLine]:
    """Return every ceremony, newest first."""
    with reading(database).begin() as db:
        tips = {vault.id: tip_height(db, vault) for vault in vault_book.all_vaults(db)}
        found = ceremony_book.all_ceremonies(db)
        who = statement_checks.openers(home, db, found)
        return [ceremony_line(each, tips[each.vault_id], who[each.public_id]) for each in found]


def ceremony_line(found: Ceremony, tip: int, operator: Operator = NOBODY) -> CeremonyLine:
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
        operator,
    )
