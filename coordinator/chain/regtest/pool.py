"""The mempool: a file of waiting transactions, judged afresh each time it is read.

What the chain has confirmed or made impossible drops out on reading, so a kill between a block
and the next write of this file does no harm.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from coordinator.chain.regtest.ledger import Ledger
from coordinator.chain.regtest.policy import (
    Waiting,
    check_fee,
    check_inputs,
    check_package,
    check_replaceable,
    check_replacement,
    check_standard,
    conflicts,
    with_descendants,
)
from coordinator.chain.regtest.rules import Outlook, check_scripts
from coordinator.errors import ChainError, TransactionRejected
from psbt.errors import PsbtError
from psbt.transaction import ByteReader, Transaction, read_transaction, vector


class Pool:
    """The transactions that wait for a block, parents before children."""

    def __init__(self, ledger: Ledger, transactions: Iterable[Transaction]) -> None:
        self._ledger = ledger
        self.waiting: dict[str, Waiting] = {}
        self.outlook = Outlook(ledger)
        for transaction in transactions:
            with suppress(TransactionRejected):
                fee_sats = self.outlook.admit(transaction)
                self.waiting[transaction.txid] = Waiting(transaction, fee_sats)

    @property
    def transactions(self) -> list[Transaction]:
        """Return the waiting transactions, parents first."""
        return [waiting.transaction for waiting in self.waiting.values()]

    def admit(self, transaction: Transaction, *, gift: bool = False) -> "Pool":
        """Return the pool with one more transaction, and without those it replaces.

        The faucet's own gifts may build on one another without limit.
        """
        check_standard(transaction)
        direct = conflicts(transaction, self.waiting)
        evicted = with_descendants(direct, self.waiting)
        check_replaceable(transaction, direct, self.waiting)
        kept = [
            waiting.transaction for txid, waiting in self.waiting.items() if txid not in evicted
        ]
        after = Pool(self._ledger, kept)
        spent = after.outlook.spent_by(transaction)
        scripts = [coin.script_pubkey for coin in spent]
        candidate = Waiting(transaction, after.outlook.admit(transaction))
        check_inputs(transaction, scripts)
        check_fee(candidate, scripts)
        check_replacement(candidate, direct, evicted)
        if not gift:
            check_package(candidate, after.waiting)
        check_scripts(transaction, spent)
        after.waiting[transaction.txid] = candidate
        return after


def read_transactions(file: Path) -> tuple[Transaction, ...]:
    """Read a mempool file; none is an empty one."""
    try:
        reader = ByteReader(file.read_bytes())
        transactions = reader.vector(read_transaction)
        reader.end()
    except FileNotFoundError:
        return ()
    except PsbtError as failure:
        raise ChainError(f"{file} is damaged: {failure}") from failure
    return transactions


def write_transactions(file: Path, transactions: Iterable[Transaction]) -> None:
    """Write a mempool file whole or not at all."""
    unfinished = file.with_suffix(".new")
    with unfinished.open("wb") as stream:
        stream.write(vector(transactions, lambda transaction: transaction.raw))
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)
