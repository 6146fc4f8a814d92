"""Consensus rules on transactions and blocks, in the words of Bitcoin Core.

Where there is no engine these rules stand in for it; the scripts are `psbt.consensus`'s.
"""

from collections.abc import Sequence

from coordinator.chain.regtest.blocks import (
    COMMITMENT_PREFIX,
    EASIEST_BITS,
    MATURITY_BLOCKS,
    MAX_BLOCK_WEIGHT,
    WITNESS_NONCE,
    Block,
    commitment,
    height_script,
    subsidy,
)
from coordinator.chain.regtest.faucet import spends_for_anyone
from coordinator.chain.regtest.ledger import Ledger, LedgerCoin, created_coins
from coordinator.errors import ChainError, TransactionRejected
from psbt import consensus
from psbt.coins import MAX_MONEY_SATS
from psbt.errors import PsbtError
from psbt.transaction import (
    FINAL_SEQUENCE,
    FIRST_TIME_LOCK,
    NULL_OUTPOINT,
    SEQUENCE_IS_TIME,
    SEQUENCE_MASK,
    SEQUENCE_NO_LOCK,
    SEQUENCE_SECONDS,
    Transaction,
)

NOT_THE_TIP = "it does not become the tip"
# What Bitcoin Core calls otherwise when it stands in a block.
BLOCK_WORDS = {"non-final": "bad-txns-nonfinal", "non-BIP68-final": "bad-txns-nonfinal"}
COINBASE_SCRIPT_SIZES = range(2, 101)


class Outlook:
    """The coins as the next block would find them, after the transactions admitted so far."""

    def __init__(self, ledger: Ledger) -> None:
        self.height = ledger.tip.height + 1
        self.median_time = ledger.median_time(ledger.tip.height)
        self.coins = dict(ledger.coins)
        self._ledger = ledger

    def admit(self, transaction: Transaction) -> int:
        """Return the fee of a transaction and take it in; scripts are not run here."""
        check_shape(transaction)
        spent = self.spent_by(transaction)
        fee = self._fee(transaction, spent)
        lock = transaction.locktime
        reached = self.height if lock < FIRST_TIME_LOCK else self.median_time
        ignored = all(item.sequence == FINAL_SEQUENCE for item in transaction.inputs)
        if lock and lock >= reached and not ignored:
            raise TransactionRejected("non-final")
        self._check_relative_locks(transaction, spent)
        for item in transaction.inputs:
            del self.coins[item.outpoint]
        self.coins.update(created_coins(transaction, self.height))
        return fee

    def spent_by(self, transaction: Transaction) -> list[LedgerCoin]:
        """Return the coin of each input."""
        found = [self.coins.get(item.outpoint) for item in transaction.inputs]
        present = [coin for coin in found if coin is not None]
        if len(present) < len(found):
            raise TransactionRejected("bad-txns-inputs-missingorspent")
        return present

    def _fee(self, transaction: Transaction, spent: list[LedgerCoin]) -> int:
        births = [coin.height for coin in spent if coin.coinbase]
        if any(self.height - birth < MATURITY_BLOCKS for birth in births):
            raise TransactionRejected("bad-txns-premature-spend-of-coinbase")
        paid = sum(output.value_sats for output in transaction.outputs)
        fee = sum(coin.value_sats for coin in spent) - paid
        if fee < 0:
            raise TransactionRejected("bad-txns-in-belowout")
        return fee

    def _check_relative_locks(self, transaction: Transaction, spent: list[LedgerCoin]) -> None:
        if transaction.version < 2:
            return
        for item, coin in zip(transaction.inputs, spent, strict=True):
            if item.sequence & SEQUENCE_NO_LOCK:
                continue
            wanted, age = item.sequence & SEQUENCE_MASK, self.height - coin.height
            if item.sequence & SEQUENCE_IS_TIME:
                wanted *= SEQUENCE_SECONDS
                age = self.median_time - self._ledger.median_time(coin.height - 1)
            if age < wanted:
                raise TransactionRejected("non-BIP68-final")


def check_shape(transaction: Transaction) -> None:
    """Refuse a transaction that no chain could hold."""
    values = [output.value_sats for output in transaction.outputs]
    spent = [item.outpoint for item in transaction.inputs]
    if not values:
        raise TransactionRejected("bad-txns-vout-empty")
    if max(values) > MAX_MONEY_SATS:
        raise TransactionRejected("bad-txns-vout-toolarge")
    if sum(values) > MAX_MONEY_SATS:
        raise TransactionRejected("bad-txns-txouttotal-toolarge")
    if len(set(spent)) < len(spent):
        raise TransactionRejected("bad-txns-inputs-duplicate")
    if NULL_OUTPOINT in spent:
        raise TransactionRejected("bad-txns-prevout-null")


def check_scripts(transaction: Transaction, spent: list[LedgerCoin]) -> str:
    """Run every input's script; returns whose word that is: accepted or own-check."""
    if not consensus.engine_available() and spends_for_anyone(transaction, spent):
        return consensus.OWN_CHECK
    outputs = [(coin.script_pubkey, coin.value_sats) for coin in spent]
    try:
        return consensus.check(transaction.raw, outputs)
    except PsbtError as failure:
        reason = f"mandatory-script-verify-flag-failed ({failure})"
        raise TransactionRejected(reason) from failure


def judge_by_rules(ledger: Ledger, blocks: Sequence[Block]) -> None:
    """Refuse blocks that cannot follow one another from a known block on."""
    parent = blocks[0].header.previous
    branch = ledger if parent == ledger.tip.hash else ledger.branch(parent)
    for block in blocks:
        try:
            check_block(block, branch)
        except TransactionRejected as failure:
            reason = BLOCK_WORDS.get(failure.reason, failure.reason)
            raise ChainError(f"block {block.hash} is refused: {reason}") from failure
        if block is not blocks[-1]:
            branch.add(block)
    if branch.tip.height < ledger.tip.height:
        raise ChainError(f"block {blocks[-1].hash} is refused: {NOT_THE_TIP}")


def check_block(block: Block, ledger: Ledger) -> None:
    """Refuse a block that cannot follow the tip."""
    outlook = Outlook(ledger)
    if block.header.previous != ledger.tip.hash:
        raise TransactionRejected("prev-blk-not-found")
    if block.header.bits != EASIEST_BITS:
        raise TransactionRejected("bad-diffbits")
    if not block.proof_of_work:
        raise TransactionRejected("high-hash")
    if block.header.time <= outlook.median_time:
        raise TransactionRejected("time-too-old")
    _check_commitments(block, outlook.height)
    fees = 0
    for transaction in block.transactions[1:]:
        spent = outlook.spent_by(transaction)
        fees += outlook.admit(transaction)
        check_scripts(transaction, spent)
    reward = sum(output.value_sats for output in block.transactions[0].outputs)
    if reward > subsidy(outlook.height) + fees:
        raise TransactionRejected("bad-cb-amount")


def _check_commitments(block: Block, height: int) -> None:
    if not block.transactions or not block.transactions[0].is_coinbase:
        raise TransactionRejected("bad-cb-missing")
    if any(transaction.is_coinbase for transaction in block.transactions[1:]):
        raise TransactionRejected("bad-cb-multiple")
    if not block.whole:
        raise TransactionRejected("bad-txnmrklroot")
    if block.weight > MAX_BLOCK_WEIGHT:
        raise TransactionRejected("bad-blk-weight")
    coinbase = block.transactions[0]
    source = coinbase.inputs[0]
    if len(source.script_sig) not in COINBASE_SCRIPT_SIZES:
        raise TransactionRejected("bad-cb-length")
    if not source.script_sig.startswith(height_script(height)):
        raise TransactionRejected("bad-cb-height")
    committed = COMMITMENT_PREFIX + commitment(block.transactions[1:])
    scripts = [output.script_pubkey for output in coinbase.outputs]
    if source.witness != (WITNESS_NONCE,) or committed not in scripts:
        raise TransactionRejected("bad-witness-merkle-match")
