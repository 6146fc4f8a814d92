"""A home with vaults whose keys are software, to follow a chain source with."""

import random
from pathlib import Path

from sqlalchemy import Column, Table, select
from sqlalchemy.orm import Session

from coordinator.chain import ChainSource, Tip, Watch
from coordinator.home.settings import create_home
from coordinator.vault import addresses, vaults
from coordinator.vault.vaults import VaultPlan
from coordinator.wallet import sync as wallet_sync
from coordinator.wallet.balance import Balance, balance
from coordinator.wallet.coins import unspent
from coordinator.wallet.scripts import watched
from psbt.coins import Coin, Outpoint, Payment
from psbt.creator import Creation, create
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.policy import CHANGE, format_descriptor, vault_script
from storage import chain as chain_book
from storage import vaults as vault_book
from storage.database import open_database
from storage.model import Vault, whole_schema
from tests.once import computing_once
from tests.psbt.soft_vault import SoftVault, soft_vault

NAME = "v"


def _lasting(table: Table) -> list[Column[object]]:
    return [each for each in table.columns if each.name not in {"synced_at", "told_at"}]


class Book:
    """A database with vaults, kept in step with a source."""

    def __init__(self, folder: Path) -> None:
        self.home = create_home(folder, "regtest", "none:")
        with computing_once():
            self.database = open_database(self.home.database_url)
        self.soft: dict[str, SoftVault] = {}

    def add(self, name: str = NAME, soft: SoftVault | None = None) -> SoftVault:
        self.soft[name] = soft or soft_vault(2, 3)
        with self.database.begin() as db:
            plan = VaultPlan(name, 0, ())
            vaults.import_text(self.home, db, plan, text=format_descriptor(self.soft[name].policy))
        return self.soft[name]

    def vault(self, db: Session, name: str = NAME) -> Vault:
        return vault_book.vault_named(db, name)

    def script(self, index: int, keychain: int = 0, name: str = NAME) -> bytes:
        return vault_script(self.soft[name].policy, keychain, index).script_pubkey

    def sync(self, source: ChainSource, name: str = NAME) -> Tip:
        with computing_once(), self.database.begin() as db:
            return wallet_sync.sync(db, self.vault(db, name), source)

    def issue(self, count: int, name: str = NAME) -> None:
        """Give out so many addresses."""
        with self.database.begin() as db:
            for _ in range(count):
                addresses.new_address(db, self.vault(db, name))

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """Return all that is stored, but for when the chain was asked."""
        with self.database.begin() as db:
            return {
                table.name: [tuple(row) for row in db.execute(select(*_lasting(table))).all()]
                for table in whole_schema().sorted_tables
            }

    def watch(self, since: Tip) -> Watch:
        """Return what the vault asks its source."""
        with self.database.begin() as db:
            vault = self.vault(db)
            scripts = watched(db, vault, self.soft[NAME].policy)
            known = chain_book.heights(db, vault)
            return Watch(
                scripts.keys(), since, vault.descriptor, scripts.reach, known=lambda: known
            )

    def balance(self, name: str = NAME) -> Balance:
        with self.database.begin() as db:
            return balance(db, self.vault(db, name))

    def coins(self, name: str = NAME) -> dict[str, int | None]:
        """Return the heights of the coins by the transaction that made them."""
        with self.database.begin() as db:
            return {coin.txid: coin.height for coin in unspent(db, self.vault(db, name))}

    def payment(self, to: bytes, pay_sats: int, fee_sats: int = 1_000, name: str = NAME) -> bytes:
        """Return a signed payment from the first coin, its change to the first change address."""
        soft = self.soft[name]
        with self.database.begin() as db:
            (row, *_) = unspent(db, self.vault(db, name))
            previous = chain_book.raw_transactions(db, {row.txid})
        coin = Coin(Outpoint(row.txid, row.vout), row.value_sats, row.keychain, row.index, 1)
        change = (vault_script(soft.policy, CHANGE, 0), row.value_sats - pay_sats - fee_sats)
        plan = Creation(soft.policy, (coin,), (Payment(to, pay_sats),), change, 0, random.Random(1))
        psbt = create(plan, previous)
        for cosigner in range(soft.policy.threshold):
            psbt = soft.sign(psbt, cosigner)
        return extract(finalize(psbt, soft.policy))

    def close(self) -> None:
        self.database.kw["bind"].dispose()
