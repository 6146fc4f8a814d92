"""A vault's coins as a list shows them: how deep each lies, what holds it, what it is called."""

from dataclasses import dataclass
from datetime import datetime

from coordinator import clock
from coordinator.home.stored_policies import stored_policy
from coordinator.wallet.branches import Ripening, chain_clock, ripening
from coordinator.wallet.coins import coin_holders, confirmations, tip_height, unspent
from coordinator.wallet.scripts import keychain_name
from psbt.coins import Outpoint
from psbt.policy import format_address
from storage import labels as label_book
from storage import vaults as vault_book
from storage.database import Database


@dataclass(frozen=True)
class CoinLine:
    """A coin and what holds it: a ceremony until a moment, or the person who froze it.

    `ripens` tells of each later branch whether it can spend the coin, or from when on.
    """

    outpoint: str
    value_sats: int
    address: str
    keychain: str
    index: int
    height: int | None
    confirmations: int
    coinbase: bool
    reserved_by: str | None
    reserved_until: datetime | None
    reserved_owner: str | None
    frozen: bool
    label: str | None
    address_label: str | None
    ripens: list[Ripening]


def coins(database: Database, vault: str) -> list[CoinLine]:
    """Return a vault's unspent coins, largest first."""
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        policy, seen = stored_policy(record), chain_clock(db, record)
        tip, holders = tip_height(db, record), coin_holders(db, clock.now())
        frozen = label_book.frozen(db)
        names, address_names = label_book.named(db, "output"), label_book.named(db, "addr")
        found = []
        for coin in unspent(db, record):
            outpoint = Outpoint(coin.txid, coin.vout)
            held = holders.get(outpoint)
            address = format_address(coin.script_pubkey, policy.network)
            found.append(
                CoinLine(
                    outpoint=str(outpoint),
                    value_sats=coin.value_sats,
                    address=address,
                    keychain=keychain_name(coin.keychain),
                    index=coin.index,
                    height=coin.height,
                    confirmations=confirmations(coin.height, tip),
                    coinbase=coin.coinbase,
                    reserved_by=held.ceremony if held else None,
                    reserved_until=held.until if held else None,
                    reserved_owner=held.opened_on if held else None,
                    frozen=str(outpoint) in frozen,
                    label=names.get(str(outpoint)),
                    address_label=address_names.get(address),
                    ripens=ripening(policy, coin.height, seen),
                )
            )
    return sorted(found, key=lambda line: (-line.value_sats, line.outpoint))
