"""Where a wallet's transactions stand on the chain of the moment."""

from functools import cached_property
from typing import NamedTuple

from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from tests.servers.index import ChainIndex
from tests.servers.view import View
from tests.servers.wallet import CHANGE, Wallet

RBF_SEQUENCE = 0xFFFFFFFD
MATURITY = 100


class Money(NamedTuple):
    """What a transaction does to the wallet."""

    spent_sats: int
    received_sats: int
    fee_sats: int | None
    """What the wallet paid for it; nothing where others spent."""


class Standing:
    """Judges the wallet's transactions by one view of the chain."""

    def __init__(self, wallet: Wallet, view: View, index: ChainIndex) -> None:
        self.wallet = wallet
        self.view = view
        self.size = len(wallet.known)
        self._index = index
        self._depths: dict[str, int] = {}

    @cached_property
    def spenders(self) -> dict[Outpoint, list[str]]:
        """Return which known transactions spend a coin."""
        found: dict[Outpoint, list[str]] = {}
        for txid, transaction in self.wallet.known.items():
            for item in transaction.inputs:
                found.setdefault(item.outpoint, []).append(txid)
        return found

    def depth(self, txid: str) -> int:
        """Return confirmations; below zero where the chain holds what it conflicts with."""
        if txid not in self._depths:
            self._depths[txid] = self._depth(txid)
        return self._depths[txid]

    def alive(self, txid: str) -> bool:
        """Tell whether a transaction is in a block or waits for one."""
        return self.depth(txid) > 0 or txid in self.view.waiting

    def conflicts(self, txid: str) -> list[str]:
        """Return the wallet's transactions that spend a coin of this one."""
        rivals = {rival for item in self._inputs(txid) for rival in self.spenders[item.outpoint]}
        return sorted(rivals - {txid})

    def waiting_conflicts(self, txid: str) -> list[str]:
        """Return what waits and spends a coin of this one."""
        spent = {item.outpoint for item in self._inputs(txid)}
        return [
            rival
            for rival, waiting in self.view.waiting.items()
            if rival != txid and any(item.outpoint in spent for item in waiting.transaction.inputs)
        ]

    def trusted(self, txid: str) -> bool:
        """Tell whether it is confirmed, or waits and spends only coins of the wallet."""
        if self.depth(txid) != 0:
            return self.depth(txid) > 0
        sources = [item.outpoint for item in self._inputs(txid)]
        ours = all(outpoint in self.wallet.coins for outpoint in sources)
        return (
            ours
            and txid in self.view.waiting
            and all(self.trusted(outpoint.txid) for outpoint in sources)
        )

    def immature(self, txid: str) -> bool:
        """Tell whether it is a young coinbase."""
        return self.wallet.known[txid].is_coinbase and self.depth(txid) <= MATURITY

    def spent(self, outpoint: Outpoint) -> bool:
        """Tell whether a living transaction, or one that may come back, spends a coin."""
        return any(self.depth(txid) >= 0 for txid in self.spenders.get(outpoint, ()))

    def money(self, txid: str) -> Money:
        transaction = self.wallet.known[txid]
        spent = sum(self._value(item.outpoint) for item in transaction.inputs)
        received = sum(o.value_sats for o in transaction.outputs if self.is_mine(o))
        paid = sum(output.value_sats for output in transaction.outputs)
        return Money(spent, received, spent - paid if spent else None)

    def is_mine(self, output: TransactionOutput) -> bool:
        return output.script_pubkey in self.wallet.scripts

    def is_change(self, output: TransactionOutput) -> bool:
        """Tell whether an output went to a keychain that nobody was given an address of."""
        mine = self.wallet.scripts.get(output.script_pubkey)
        return mine is not None and mine.script.keychain == CHANGE

    def replaceable(self, txid: str) -> str:
        """Tell in Core's words whether it may be replaced."""
        if self.depth(txid) > 0:
            return "no"
        if txid not in self.view.waiting:
            return "unknown"
        signals = any(item.sequence <= RBF_SEQUENCE for item in self._inputs(txid))
        return "yes" if signals else "no"

    def transaction(self, txid: str) -> Transaction:
        return self.wallet.known[txid]

    def _inputs(self, txid: str) -> tuple[TransactionInput, ...]:
        return self.wallet.known[txid].inputs

    def _value(self, outpoint: Outpoint) -> int:
        if outpoint not in self.wallet.coins:
            return 0
        return self.wallet.known[outpoint.txid].outputs[outpoint.vout].value_sats

    def _depth(self, txid: str) -> int:
        if txid in self.view.ledger.confirmed:
            return self._confirmations(txid)
        if txid in self.view.waiting:
            return 0
        return min((self._buried(item.outpoint) for item in self._inputs(txid)), default=0)

    def _confirmations(self, txid: str) -> int:
        return self.view.confirmations(self.view.ledger.confirmed[txid].height)

    def _buried(self, outpoint: Outpoint) -> int:
        """Return minus the depth of what spends a coin instead, or of its source's conflict."""
        spender = self._index.spender(outpoint)
        if spender:
            return -self._confirmations(spender.txid)
        if outpoint.txid in self.wallet.known:
            return min(0, self.depth(outpoint.txid))
        return 0
