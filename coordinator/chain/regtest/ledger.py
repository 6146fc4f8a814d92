"""The best chain among the blocks known, the coins it leaves, and what a vault sees of it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from coordinator.chain import ChainUpdate, Scanned, SeenTransaction, Tip, Watch
from coordinator.chain.regtest.blocks import GENESIS_HASH, GENESIS_TIME, Block
from coordinator.errors import ChainError
from psbt.coins import Outpoint
from psbt.transaction import Transaction

MEDIAN_BLOCKS = 11


class LedgerCoin(NamedTuple):
    """An output nobody spent yet, and the height of the block it came with."""

    script_pubkey: bytes
    value_sats: int
    height: int
    coinbase: bool


class Confirmed(NamedTuple):
    """A transaction of the best chain and the height of its block."""

    height: int
    transaction: Transaction


class Ledger:
    """Follows the longest chain of the blocks it is given; the first of two equals wins."""

    def __init__(self) -> None:
        """Begin with the genesis block, whose coin nobody can spend."""
        self._blocks: dict[str, Block] = {}
        self._heights: dict[str, int] = {GENESIS_HASH: 0}
        self._rewind()

    @property
    def tip(self) -> Tip:
        """Return the newest block of the best chain."""
        return Tip(len(self.hashes) - 1, self.hashes[-1])

    def add(self, block: Block) -> None:
        """Take in a block; it joins the best chain if that makes it longer."""
        parent = block.header.previous
        if parent not in self._heights:
            raise ChainError(f"block {block.hash} follows none that is known")
        self._blocks[block.hash] = block
        self._heights[block.hash] = self._heights[parent] + 1
        if parent == self.tip.hash:
            self._connect(block)
        elif self._heights[block.hash] > self.tip.height:
            self._rewind()
            for ancestor in self._ancestry(block.hash):
                self._connect(ancestor)

    def blocks_above(self, height: int) -> Iterator[tuple[int, Block]]:
        """Yield height and block of the best chain above a height."""
        for number in range(height + 1, len(self.hashes)):
            yield number, self._blocks[self.hashes[number]]

    def block(self, block_hash: str) -> Block | None:
        """Return a block that is known, on the best chain or beside it; never the genesis block."""
        return self._blocks.get(block_hash)

    def height(self, block_hash: str) -> int | None:
        """Return the height of a block that is known."""
        return self._heights.get(block_hash)

    def fork_height(self, block_hash: str) -> int:
        """Return the height of the newest block that this block's chain and the best one share."""
        while not self.on_chain(block_hash):
            if block_hash not in self._blocks:
                return 0
            block_hash = self._blocks[block_hash].header.previous
        return self._heights[block_hash]

    def on_chain(self, block_hash: str) -> bool:
        """Tell whether a block is on the best chain."""
        height = self._heights.get(block_hash)
        return height is not None and self.hashes[height : height + 1] == [block_hash]

    def median_time(self, height: int) -> int:
        """Return the median time of a block and the ten before it (BIP 113)."""
        last = self.hashes[max(0, height - MEDIAN_BLOCKS + 1) : height + 1]
        times = sorted(map(self._time, last))
        return times[len(times) // 2]

    def time(self, height: int) -> int:
        """Return the time of a block of the best chain."""
        return self._time(self.hashes[height])

    def branch(self, block_hash: str) -> "Ledger":
        """Return a ledger whose best chain ends at a known block."""
        if block_hash not in self._heights:
            raise ChainError(f"block {block_hash} is not known")
        branch = Ledger()
        for block in self._ancestry(block_hash):
            branch.add(block)
        return branch

    def _time(self, block_hash: str) -> int:
        return GENESIS_TIME if block_hash == GENESIS_HASH else self._blocks[block_hash].header.time

    def _ancestry(self, block_hash: str) -> list[Block]:
        line: list[Block] = []
        while block_hash != GENESIS_HASH:
            line.append(self._blocks[block_hash])
            block_hash = line[-1].header.previous
        return line[::-1]

    def _rewind(self) -> None:
        self.hashes = [GENESIS_HASH]
        self.coins: dict[Outpoint, LedgerCoin] = {}
        self.confirmed: dict[str, Confirmed] = {}

    def _connect(self, block: Block) -> None:
        self.hashes.append(block.hash)
        height = self.tip.height
        for transaction in block.transactions:
            self.confirmed[transaction.txid] = Confirmed(height, transaction)
            for spent in transaction.inputs:
                self.coins.pop(spent.outpoint, None)
            self.coins.update(created_coins(transaction, height))


def created_coins(transaction: Transaction, height: int) -> dict[Outpoint, LedgerCoin]:
    """Return the coins a transaction makes."""
    coinbase = transaction.is_coinbase
    return {
        Outpoint(transaction.txid, vout): LedgerCoin(
            output.script_pubkey, output.value_sats, height, coinbase
        )
        for vout, output in enumerate(transaction.outputs)
    }


def scan(ledger: Ledger, waiting: Iterable[Transaction], watch: Watch) -> ChainUpdate:
    """Return the transactions that pay to or spend from the watched scripts."""
    since = watch.since or Tip(0, ledger.hashes[0])
    known = ledger.fork_height(since.hash)
    reorganised = None if ledger.on_chain(since.hash) else known
    seen = tuple(_touching(ledger, waiting, watch))
    anew = watch.since is None or watch.widened or watch.rescan is not None
    told_up_to = 0 if anew else known
    news = tuple(found for found in seen if found.height is None or found.height > told_up_to)
    scanned = Scanned(0) if anew else None
    return ChainUpdate(ledger.tip, reorganised, news, scanned=scanned)


def _touching(
    ledger: Ledger, waiting: Iterable[Transaction], watch: Watch
) -> Iterator[SeenTransaction]:
    owned: set[Outpoint] = set()
    for height, block in ledger.blocks_above(0):
        for transaction in block.transactions:
            if _touches(transaction, owned, watch):
                txid, raw = transaction.txid, transaction.raw
                yield SeenTransaction(txid, raw, height, block.hash, block.header.time)
    for transaction in waiting:
        if _touches(transaction, owned, watch):
            yield SeenTransaction(transaction.txid, transaction.raw)


def _touches(transaction: Transaction, owned: set[Outpoint], watch: Watch) -> bool:
    """Tell whether a transaction concerns the watch; remembers the coins it makes there."""
    mine = [
        n for n, output in enumerate(transaction.outputs) if output.script_pubkey in watch.scripts
    ]
    owned.update(Outpoint(transaction.txid, vout) for vout in mine)
    return bool(mine) or any(item.outpoint in owned for item in transaction.inputs)
