"""Who pays and who spends what: the index a server keeps beside the chain."""

import hashlib
from collections import defaultdict
from typing import NamedTuple

from coordinator.chain.regtest.blocks import GENESIS_HASH
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionOutput
from tests.servers.view import View


class Spender(NamedTuple):
    """The input that spends a coin."""

    txid: str
    vin: int


class ChainIndex:
    """Grows with the best chain; after a reorganisation it is built anew."""

    def __init__(self) -> None:
        self._reset()

    def follow(self, view: View) -> None:
        """Take in what the chain has won since the last time."""
        if not view.ledger.on_chain(self._tip):
            self._reset()
        height = view.ledger.height(self._tip) or 0
        for _, block in view.ledger.blocks_above(height):
            for transaction in block.transactions:
                self._take(transaction)
            self._tip = block.hash

    def history(self, script_hash: str) -> list[str]:
        """Return the confirmed txids that touch a script, oldest first."""
        return list(self._history.get(script_hash, ()))

    def spender(self, outpoint: Outpoint) -> Spender | None:
        return self._spenders.get(outpoint)

    def _reset(self) -> None:
        self._tip = GENESIS_HASH
        # A dictionary without values: each txid once, in order.
        self._history: dict[str, dict[str, None]] = defaultdict(dict)
        self._spenders: dict[Outpoint, Spender] = {}
        self._outputs: dict[str, tuple[TransactionOutput, ...]] = {}

    def _take(self, transaction: Transaction) -> None:
        self._outputs[transaction.txid] = transaction.outputs
        touched = list(transaction.outputs)
        for vin, (outpoint, *_) in enumerate(transaction.inputs):
            if not transaction.is_coinbase:
                self._spenders[outpoint] = Spender(transaction.txid, vin)
                touched.append(self._outputs[outpoint.txid][outpoint.vout])
        for output in touched:
            self._history[script_hash(output.script_pubkey)][transaction.txid] = None


def script_hash(script_pubkey: bytes) -> str:
    """Return what Esplora calls a script: its SHA-256."""
    return hashlib.sha256(script_pubkey).hexdigest()
