"""Bitcoin Core's validation engine, fed from the block log.

The engine keeps nothing: its databases live in memory and are rebuilt from the log whenever
blocks are to be judged, so that no kill can leave it in a state to be healed.
"""

import importlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from coordinator.chain import Tip
from coordinator.chain.regtest.blocks import Block
from coordinator.chain.regtest.rules import NOT_THE_TIP
from coordinator.errors import ChainError

REFUSAL = re.compile(r"BlockChecked: block hash=\w+ state=([^,\n]+)")

Judge = Callable[[Sequence[Block]], None]


@contextmanager
def open_engine(log: Path, tip: Tip, scratch: Path) -> Iterator[Judge]:
    """Lend a judge of blocks that may follow the tip; the scratch folder is wiped."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    engine = _Engine(scratch)
    try:
        engine.load(log)
        if engine.tip != tip:
            raise ChainError(f"the engine stops at block {engine.tip.height} of {tip.height}")
        yield engine.judge
    finally:
        engine.close()
        shutil.rmtree(scratch, ignore_errors=True)


class _Engine:
    """The engine's chain state in memory, and the last reason it gave for a refusal."""

    def __init__(self, scratch: Path) -> None:
        pbk = importlib.import_module("pbk")

        self._pbk = pbk
        # The engine logs the verdict on a block only if someone listens to its verdicts.
        listener = pbk.ValidationInterfaceCallbacks(block_checked=lambda *_: None)
        context = pbk.make_context(pbk.ChainType.REGTEST, validation_callbacks=listener)
        options = pbk.ChainstateManagerOptions(context, str(scratch), str(scratch / "blocks"))
        options.update_block_tree_db_in_memory(True)
        options.update_chainstate_db_in_memory(True)
        try:
            self._manager = pbk.ChainstateManager(options)
        except RuntimeError as failure:
            raise ChainError(f"the engine does not open: {failure}") from failure
        self._reason = NOT_THE_TIP

    @property
    def tip(self) -> Tip:
        """Return the newest block the engine holds for valid."""
        chain = self._manager.get_active_chain()
        return Tip(chain.height, str(chain.block_tree_entries[chain.height].block_hash))

    def load(self, log: Path) -> None:
        """Read the block log; what is not valid is left out."""
        if log.exists():
            self._manager.import_blocks([log])

    def judge(self, blocks: Sequence[Block]) -> None:
        """Refuse blocks unless the last of them becomes the tip."""
        with self._listening():
            for block in blocks:
                # Neither the answer nor the exception is the verdict: the tip is.
                with suppress(self._pbk.ProcessBlockException):
                    self._manager.process_block(self._pbk.Block(block.raw))
        if self.tip.hash != blocks[-1].hash:
            raise ChainError(f"block {blocks[-1].hash} is refused: {self._reason}")

    def close(self) -> None:
        """Let the engine go; it writes to its folder once more."""
        del self._manager

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hear the log, the one place where the engine gives its reasons."""
        self._pbk.enable_log_category(self._pbk.LogCategory.VALIDATION)
        self._pbk.set_log_level_category(self._pbk.LogCategory.VALIDATION, self._pbk.LogLevel.DEBUG)
        connection = self._pbk.LoggingConnection(self._hear)
        yield
        del connection

    def _hear(self, line: str) -> None:
        if found := REFUSAL.search(line):
            self._reason = found[1]
