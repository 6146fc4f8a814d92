"""A history told in an order nobody chose, and transactions that are only partly ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.chain import SeenTransaction
from coordinator.wallet.history import HistoryLine, history
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from storage import chain as chain_book
from storage import vaults as vault_book
from storage.database import open_database
from tests.program import Asked

STRANGERS = b"\x00\x14" + bytes(20)


@pytest.fixture
def database(vault: Asked, tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    vault("sync")
    opened = open_database(f"sqlite:///{tmp_path / 'home' / 'cardquorum.db'}")
    yield opened
    opened.kw["bind"].dispose()


def spending(coins: list[Outpoint], *outputs: tuple[int, bytes]) -> Transaction:
    inputs = tuple(TransactionInput(each) for each in coins)
    return Transaction(inputs, tuple(TransactionOutput(*each) for each in outputs))


def tell(db: Session, transaction: Transaction, own: bytes) -> None:
    """Store a transaction of block 102 as sync would, its outputs to one script being ours."""
    vault = vault_book.vault_named(db, "v")
    seen = SeenTransaction(transaction.txid, transaction.raw, 102, "00" * 32, 1_700_000_000)
    chain_book.add_transactions(db, [seen], clock.now())
    made = [
        chain_book.FoundCoin(
            txid=transaction.txid,
            vout=vout,
            value_sats=output.value_sats,
            keychain=0,
            index=0,
            script_pubkey=own,
            height=102,
            coinbase=False,
        )
        for vout, output in enumerate(transaction.outputs)
        if output.script_pubkey == own
    ]
    chain_book.add_coins(db, vault, made)
    by = transaction.txid
    spent = [chain_book.Spend(*each.outpoint, by, 102) for each in transaction.inputs]
    chain_book.spend_coins(db, vault, spent)


def told(database: sessionmaker[Session], *made: tuple[Transaction, bytes]) -> list[HistoryLine]:
    """Store them twice, so that a child stored before its parent spends it all the same."""
    with database.begin() as db:
        for transaction, own in made:
            tell(db, transaction, own)
        for transaction, own in made:
            tell(db, transaction, own)
    return history(database, "v").transactions


def first_coin(database: sessionmaker[Session]) -> chain_book.UnspentCoin:
    with database.begin() as db:
        return chain_book.unspent_coins(db, vault_book.vault_named(db, "v"))[0]


def test_parents_stand_before_children_whatever_order_they_were_told_in(
    database: sessionmaker[Session],
) -> None:
    coin = first_coin(database)
    own = coin.script_pubkey
    parent = spending([Outpoint(coin.txid, coin.vout)], (900_000, own))
    child = spending([Outpoint(parent.txid, 0)], (800_000, own))
    last = spending([Outpoint(child.txid, 0)], (700_000, STRANGERS))
    lines = told(database, (last, own), (child, own), (parent, own))
    assert [line.txid for line in lines[:3]] == [last.txid, child.txid, parent.txid]
    assert [line.balance_sats for line in lines] == [2_000_000, 2_800_000, 2_900_000, 3_000_000]
    assert [line.kind for line in lines] == ["sent", "moved", "moved", "received"]
    assert [line.fee_sats for line in lines] == [100_000, 100_000, 100_000, None]


def test_a_fee_that_others_share_is_not_ours(database: sessionmaker[Session]) -> None:
    coin = first_coin(database)
    own = coin.script_pubkey
    shared = spending(
        [Outpoint(coin.txid, coin.vout), Outpoint("ab" * 32, 1)], (1_500_000, own), (1, STRANGERS)
    )
    line = told(database, (shared, own))[0]
    assert (line.kind, line.fee_sats, line.change_sats) == ("sent", None, 500_000)
