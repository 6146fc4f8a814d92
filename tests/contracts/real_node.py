"""A real Bitcoin Core under the chain contract, where BITCOIND names its program."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from coordinator.chain.core.rpc import Node, RpcError, call
from coordinator.chain.regtest import RegtestChain
from coordinator.errors import ChainError
from tests.patience import SECONDS
from tests.servers.ports import free_port

PROGRAM = os.environ.get("BITCOIND")
FILTERS = "basic block filter index"


@dataclass
class RealNode:
    """A node of its own that is given every block and transaction of the embedded chain."""

    chain: RegtestChain
    folder: Path
    rpc_port: int
    peer_port: int
    _process: subprocess.Popen[bytes] | None = None

    @property
    def cookie(self) -> Path:
        return self.folder / "regtest" / ".cookie"

    @property
    def node(self) -> Node:
        return Node("127.0.0.1", self.rpc_port, self.cookie, SECONDS)

    def start(self) -> None:
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        options = {
            "datadir": self.folder,
            "rpcport": self.rpc_port,
            "bind": f"127.0.0.1:{self.peer_port}",
            "blockfilterindex": 1,
            "peerblockfilters": 1,
            "dnsseed": 0,
            "fixedseeds": 0,
            "printtoconsole": 0,
            "persistmempool": 1,
        }
        words = [f"-{name}={value}" for name, value in options.items()]
        self._process = subprocess.Popen([str(PROGRAM), "-regtest", "-server", *words])
        self._until(lambda: call(self.node, "getblockcount") is not None)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(SECONDS)
        self._process = None

    def settle(self) -> None:
        """Exchange what either side has and the other lacks, until the filters are made."""
        for txid in call(self.node, "getrawmempool").items(10_000):
            with suppress(ChainError):
                self.chain.broadcast(
                    call(self.node, "getrawtransaction", txid.hash()).bytes(4_000_000)
                )
        for _, block in self.chain.blocks():
            with suppress(RpcError):
                call(self.node, "getblockheader", block.hash)
                continue
            call(self.node, "submitblock", block.raw.hex())
        for txid in self.chain.mempool():
            raw = self.chain.transaction(txid)
            with suppress(RpcError):
                call(self.node, "sendrawtransaction", raw.hex() if raw else "")
        self._until(self._is_current)

    def _is_current(self) -> bool:
        tip = self.chain.tip()
        height = call(self.node, "getindexinfo")[FILTERS]["best_block_height"].height()
        best = call(self.node, "getbestblockhash").value
        return bool(best == tip.hash and height == tip.height)

    def _until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            with suppress(ChainError):
                if reached():
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{PROGRAM} did not come so far")
            time.sleep(0.05)


@contextmanager
def running(chain: RegtestChain, folder: Path) -> Iterator[RealNode]:
    """Run the node until the block ends; it has the chain when the block begins."""
    node = RealNode(chain, folder, free_port(), free_port())
    try:
        node.start()
        node.settle()
        yield node
    finally:
        node.stop()
