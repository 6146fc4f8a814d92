"""Bitcoin Core's validation engine, fed from the block log.

The engine keeps nothing: its databases live in memory and are rebuilt from the log whenever
blocks are to be judged, so that no kill can leave it in a state to be healed.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator.chain import Tip
from coordinator.chain.regtest.blocks import Block
from coordinator.chain.regtest.log import framed
from coordinator.errors import ChainError

Judge = Callable[[Sequence[Block]], None]


@contextmanager
def open_engine(log: Path, tip: Tip, scratch: Path) -> Iterator[Judge]:
    """Lend a judge of blocks that may follow the tip; the scratch folder is wiped."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        engine = _Engine(scratch)
        engine.load(log)
        if engine.tip != tip:
            raise ChainError(f"the engine stops at block {engine.tip.height} of {tip.height}")
        yield engine.judge
        del engine
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Engine:
    """The engine's chain state in memory."""

    def __init__(self, scratch: Path) -> None:
        import pbk

        context = pbk.make_context(pbk.ChainType.REGTEST)
        options = pbk.ChainstateManagerOptions(context, str(scratch), str(scratch / "blocks"))
        options.update_block_tree_db_in_memory(True)
        options.update_chainstate_db_in_memory(True)
        try:
            self._manager = pbk.ChainstateManager(options)
        except RuntimeError as failure:
            raise ChainError(f"the engine does not open: {failure}") from failure
        self._candidates = scratch / "candidates.dat"

    @property
    def tip(self) -> Tip:
        """Return the newest block the engine holds for valid."""
        chain = self._manager.get_active_chain()
        return Tip(chain.height, str(chain.block_tree_entries[chain.height].block_hash))

    def load(self, file: Path) -> None:
        """Read a file of framed blocks; those that are not valid are left out."""
        if file.exists():
            self._manager.import_blocks([file])

    def judge(self, blocks: Sequence[Block]) -> None:
        """Refuse blocks unless the last of them becomes the tip."""
        self._candidates.write_bytes(b"".join(map(framed, blocks)))
        self.load(self._candidates)
        if self.tip.hash != blocks[-1].hash:
            raise ChainError(f"the engine refuses block {blocks[-1].hash}")
