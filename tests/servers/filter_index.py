"""The filters of a chain that grows and reorganises."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from coordinator.chain.regtest.blocks import Block
from psbt.coins import Outpoint
from tests.servers.filters import basic_filter, filter_header, genesis, spent_scripts


class Entry(NamedTuple):
    """A block, its place, its filter, and the header that chains the filter to those before."""

    height: int
    block: Block
    filtered: bytes
    header: bytes


class FilterIndex:
    """Every block ever seen with its filter; which of them are the best chain changes.

    A block's filter depends on the block and its ancestors alone, and the script of an outpoint
    on the transaction that made it: nothing here is undone by a reorganisation.
    """

    def __init__(self) -> None:
        """Begin with the genesis block."""
        self.entries: dict[str, Entry] = {}
        self._scripts: dict[Outpoint, bytes] = {}
        self.best = [self._filed(0, genesis())]

    @property
    def tip(self) -> Entry:
        """Return the newest block of the best chain."""
        return self.entries[self.best[-1]]

    def follow(self, blocks: Iterable[tuple[int, Block]]) -> None:
        """Take the best chain as it is now: height and block of everything above genesis."""
        self.best = [self.best[0], *[self._filed(height, block) for height, block in blocks]]

    def above(self, known: Sequence[str]) -> list[Entry]:
        """Return the best chain above the first of these blocks that is on it, or above genesis."""
        heights = (self.entries[item].height for item in known if self._on_best(item))
        return [self.entries[item] for item in self.best[next(heights, 0) + 1 :]]

    def line(self, start: int, stop: str) -> list[Entry]:
        """Return the blocks from a height up to a block that is known, on whatever branch."""
        found: list[Entry] = []
        while (entry := self.entries.get(stop)) and entry.height >= start:
            found.append(entry)
            stop = entry.block.header.previous
        return found[::-1]

    def ancestry(self, block_hash: str) -> list[str]:
        """Return a block and those before it, newest first."""
        return [entry.block.hash for entry in reversed(self.line(0, block_hash))]

    def _on_best(self, block_hash: str) -> bool:
        entry = self.entries.get(block_hash)
        return entry is not None and self.best[entry.height : entry.height + 1] == [block_hash]

    def _filed(self, height: int, block: Block) -> str:
        if block.hash not in self.entries:
            self._remember(block)
            filtered = basic_filter(block, spent_scripts(block, self._scripts))
            before = self.entries.get(block.header.previous)
            header = filter_header(filtered, before.header if before else bytes(32))
            self.entries[block.hash] = Entry(height, block, filtered, header)
        return block.hash

    def _remember(self, block: Block) -> None:
        for transaction in block.transactions:
            for vout, output in enumerate(transaction.outputs):
                self._scripts[Outpoint(transaction.txid, vout)] = output.script_pubkey
