"""What the vaults own and where their payments stand, gathered for one screen or one list."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock, custody, wallet
from coordinator.audit import rules
from coordinator.audit.facts import vault_facts
from coordinator.chain import ChainSource, Tip
from coordinator.errors import ChainUnreachable, UsageError
from coordinator.settings import EMBEDDED_CHAIN, OFFLINE, Home
from coordinator.vaults import standing, stored_policy
from coordinator.wallet import Balance, keychain
from psbt.policy import format_address
from storage import cards as card_book
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import custody as custody_book
from storage import labels as label_book
from storage import sealing
from storage import vaults as vault_book
from storage.model import Vault
from storage.succession import all_successions

Database = sessionmaker[Session]
UNSCRUBBED = "free pages hold places in plain text: run custody seal again"
OPEN_STATES = frozenset({"collecting", "complete", "final", "broadcast"})


@dataclass(frozen=True)
class CoinLine:
    """A coin and what holds it."""

    outpoint: str
    value_sats: int
    address: str
    keychain: str
    index: int
    height: int | None
    coinbase: bool
    reserved_by: str | None
    frozen: bool
    label: str | None


class HistoryLine(NamedTuple):
    """A transaction and what it changed for the vault, in satoshis."""

    txid: str
    change_sats: int
    height: int | None
    time: datetime | None
    ceremony: str | None


@dataclass(frozen=True)
class AddressLine:
    """An address that was issued or used."""

    address: str
    keychain: str
    index: int
    script_pubkey: bytes
    issued_at: datetime | None
    used: bool


@dataclass(frozen=True)
class Owner:
    """Whose address it is, and where."""

    vault: str
    keychain: str
    index: int
    checksum: str


class CeremonyLine(NamedTuple):
    """A ceremony in a list."""

    id: str
    vault: str
    state: str
    txid: str
    fee_sats: int
    signatures: int
    expires: datetime

    def document(self) -> dict[str, Any]:
        """Return the ceremony as a list shows it."""
        return {"ceremony": self.id, **self._asdict()}


@dataclass(frozen=True)
class Status:
    """The one screen of `status`."""

    network: str
    tip: Tip | None
    vaults: list[tuple[str, Balance]]
    ceremonies: list[CeremonyLine]
    due: list[str]

    def document(self) -> dict[str, Any]:
        """Return the fields of `status --json`."""
        return {
            "network": self.network,
            "tip": self.tip and self.tip._asdict(),
            "vaults": [{"name": name, **owned._asdict()} for name, owned in self.vaults],
            "ceremonies": [c.document() for c in self.ceremonies],
            "due": self.due,
        }


def status(home: Home, database: Database, open_chain: Callable[[], ChainSource]) -> Status:
    """Return the one screen; a chain that cannot be asked leaves the tip out."""
    freshen(home, database, open_chain, None)
    opened = [line for line in ceremonies(database) if line.state in OPEN_STATES]
    owned = list(balances(database, None).items())
    return Status(home.network, _tip(home, open_chain), owned, opened, _due(database))


def sync(database: Database, chain: ChainSource, vault: str | None) -> Tip:
    """Bring one vault or all in step with the chain; returns its tip."""
    tip = chain.tip()
    with database.begin() as db:
        for record in _vaults(db, vault):
            tip = wallet.sync(db, record, chain)
    return tip


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


def coins(database: Database, vault: str) -> list[CoinLine]:
    """Return a vault's unspent coins, largest first."""
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        network = stored_policy(record).network
        held = {(h.txid, h.vout): h.ceremony for h in ceremony_book.reserved(db, clock.now())}
        frozen, names = label_book.frozen(db), label_book.named(db, "output")
        found = [
            CoinLine(
                outpoint=f"{coin.txid}:{coin.vout}",
                value_sats=coin.value_sats,
                address=format_address(coin.script_pubkey, network),
                keychain=keychain(coin.branch),
                index=coin.index,
                height=coin.height,
                coinbase=coin.coinbase,
                reserved_by=held.get((coin.txid, coin.vout)),
                frozen=f"{coin.txid}:{coin.vout}" in frozen,
                label=names.get(f"{coin.txid}:{coin.vout}"),
            )
            for coin in wallet.unspent(db, record)
        ]
    return sorted(found, key=lambda line: (-line.value_sats, line.outpoint))


def history(database: Database, vault: str) -> list[HistoryLine]:
    """Return a vault's transactions, waiting ones first, then newest first."""
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        changes = chain_book.changes(db, record)
        ceremony_of = {c.txid: c.public_id for c in ceremony_book.ceremonies_of(db, record)}
        found = [
            HistoryLine(
                seen.txid,
                changes[seen.txid],
                seen.height,
                seen.block_time,
                ceremony_of.get(seen.txid),
            )
            for seen in chain_book.transactions(db, changes)
        ]
    return sorted(found, key=lambda line: -(line.height if line.height is not None else 1 << 40))


def addresses(database: Database, vault: str) -> list[AddressLine]:
    """Return the addresses issued or used so far, by keychain and index."""
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        known = chain_book.addresses_of(db, record)
        policy = stored_policy(record)
        scripts = wallet.scripts_at(policy, ((a.branch, a.index) for a in known))
        return [
            AddressLine(
                format_address(scripts[found.branch, found.index], policy.network),
                keychain(found.branch),
                found.index,
                scripts[found.branch, found.index],
                found.issued_at,
                found.used,
            )
            for found in known
        ]


def owner_of(database: Database, script_pubkey: bytes) -> Owner | None:
    """Return whose address a script is, by deriving it; None where it is nobody's."""
    with database.begin() as db:
        for record in vault_book.all_vaults(db):
            script = wallet.watched(db, record, stored_policy(record)).get(script_pubkey)
            if script is not None:
                return Owner(record.name, keychain(script.branch), script.index, record.checksum)
    return None


def ceremonies(database: Database) -> list[CeremonyLine]:
    """Return every ceremony, newest first."""
    with database.begin() as db:
        return [
            CeremonyLine(
                found.public_id,
                found.vault.name,
                found.state,
                found.txid,
                found.fee_sats,
                len(found.signatures),
                found.expires_at,
            )
            for found in ceremony_book.all_ceremonies(db)
        ]


def feerate(home: Home, open_chain: Callable[[], ChainSource], target: int) -> int:
    """Return the chain's fee rate in sat/kvB; raises UsageError where there is no chain to ask."""
    if home.chain == OFFLINE:
        raise UsageError("this home asks no chain; give the fee rate with --feerate")
    return open_chain().feerate(target)


def known_tip(database: Database, vault: str) -> Tip | None:
    """Return the tip a vault was last synced to."""
    with database.begin() as db:
        state = chain_book.sync_state(db, vault_book.vault_named(db, vault))
        return Tip(state.height, state.block_hash) if state else None


def _vaults(db: Session, name: str | None) -> Iterable[Vault]:
    return [vault_book.vault_named(db, name)] if name else vault_book.all_vaults(db)


def _tip(home: Home, open_chain: Callable[[], ChainSource]) -> Tip | None:
    if home.chain == OFFLINE:
        return None
    try:
        return open_chain().tip()
    except ChainUnreachable:
        return None


def _due(database: Database) -> list[str]:
    """Return what waits for somebody.

    A sealing that was cut off, cards nobody ever placed, coins that came to old vaults, drills.
    """
    with database.begin() as db:
        unplaced = [
            f"write down where card:{card.label} lies"
            for card in card_book.all_cards(db)
            if custody.whereabouts(custody_book.events_of(db, card.item)) == (None, None)
        ]
        late = [(each.vault.name, _free(db, each.vault)) for each in all_successions(db)]
        unscrubbed = [] if sealing.is_scrubbed(db) else [UNSCRUBBED]
        owed = [
            f"{sats} sat are in vault {name}, which was replaced: cardquorum replace sweep {name}"
            for name, sats in late
            if sats
        ]
        overdue = [
            f"{finding.message}: {finding.remedy}"
            for vault in vault_book.all_vaults(db)
            if standing(db, vault)["state"] == "active"
            for finding in rules.overdue(vault_facts(db, vault), clock.now())
        ]
        return unscrubbed + unplaced + owed + overdue


def _free(db: Session, vault: Vault) -> int:
    """Return what a vault holds that no ceremony does."""
    owned = wallet.balance(db, vault)
    return owned.confirmed_sats + owned.pending_sats - owned.reserved_sats
