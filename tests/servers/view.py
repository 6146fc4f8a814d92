"""The chain as the servers see it, until it changes."""

from functools import cached_property
from typing import NamedTuple

from coordinator.chain.regtest import RegtestChain
from coordinator.chain.regtest.blocks import GENESIS_HASH, Block
from coordinator.chain.regtest.ledger import Ledger, LedgerCoin
from coordinator.chain.regtest.policy import Waiting
from coordinator.chain.regtest.pool import Pool
from psbt.coins import Outpoint
from psbt.transaction import Transaction, TransactionOutput
from tests.servers.genesis import GENESIS


class Place(NamedTuple):
    """Where a confirmed transaction stands."""

    height: int
    block_hash: str
    index: int
    time: int


class View:
    """Reads the chain once and answers from that, as long as its tip and mempool stay."""

    def __init__(self, chain: RegtestChain) -> None:
        self.ledger: Ledger = chain.ledger()
        self._chain = chain
        self._positions: dict[str, dict[str, int]] = {}

    @cached_property
    def pool(self) -> Pool:
        return self._chain.pool()

    @cached_property
    def size(self) -> int:
        """Return how many bytes the blocks take."""
        return sum(len(block.raw) for _, block in self.ledger.blocks_above(0))

    @property
    def waiting(self) -> dict[str, Waiting]:
        return self.pool.waiting

    @property
    def height(self) -> int:
        return self.ledger.tip.height

    def block(self, block_hash: str) -> Block | None:
        return GENESIS if block_hash == GENESIS_HASH else self.ledger.block(block_hash)

    def block_at(self, height: int) -> Block:
        block = self.block(self.ledger.hashes[height])
        assert block is not None
        return block

    def place(self, txid: str) -> Place | None:
        """Find a transaction on the best chain; the first coinbase is in no index."""
        confirmed = self.ledger.confirmed.get(txid)
        if confirmed is None:
            return None
        block = self.block_at(confirmed.height)
        if block.hash not in self._positions:
            places = {item.txid: index for index, item in enumerate(block.transactions)}
            self._positions[block.hash] = places
        index = self._positions[block.hash][txid]
        return Place(confirmed.height, block.hash, index, block.header.time)

    def transaction(self, txid: str) -> Transaction | None:
        if txid in self.waiting:
            return self.waiting[txid].transaction
        confirmed = self.ledger.confirmed.get(txid)
        return confirmed.transaction if confirmed else None

    def output(self, outpoint: Outpoint) -> TransactionOutput | None:
        """Return an output, spent or not."""
        source = self.transaction(outpoint.txid)
        return source.outputs[outpoint.vout] if source else None

    def coin(self, outpoint: Outpoint, *, with_waiting: bool) -> LedgerCoin | None:
        coins = self.pool.outlook.coins if with_waiting else self.ledger.coins
        return coins.get(outpoint)

    def confirmations(self, height: int) -> int:
        return self.height - height + 1
