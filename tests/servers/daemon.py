"""A daemon like Bitcoin Core over the embedded engine, and an Esplora server beside it.

It answers on 127.0.0.1 from a thread, with the shapes, codes and statuses of a real node, and
misbehaves when told to. What it answers comes from `node`, `pool`, `wallet` and `esplora`.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.chain.regtest import RegtestChain
from psbt.transaction import Transaction, parse_transaction
from tests.servers import esplora, node, pool
from tests.servers.index import ChainIndex
from tests.servers.rpc import (
    METHOD_NOT_FOUND,
    WARMING_UP,
    Call,
    Params,
    RpcError,
    call,
    reply,
)
from tests.servers.view import View
from tests.servers.wire import Answer, Mischief, Request, Server

NODE_CALLS: dict[str, Call] = {
    function.__name__: function
    for function in (
        node.getnetworkinfo,
        node.getblockchaininfo,
        node.getindexinfo,
        node.getblockcount,
        node.getbestblockhash,
        node.getblockhash,
        node.getblockheader,
        node.getblock,
        pool.getrawmempool,
        pool.getmempoolinfo,
        pool.getmempoolentry,
        pool.getrawtransaction,
        pool.gettxout,
        pool.estimatesmartfee,
        pool.sendrawtransaction,
    )
}
# A function of this name is taken for a test.
NODE_CALLS["testmempoolaccept"] = pool.would_accept


@dataclass
class Daemon:
    """The server, and how it is to behave; every field may be set while it runs."""

    chain: RegtestChain
    folder: Path
    version: int = node.VERSION
    chain_name: str = "regtest"
    syncing: str = ""
    """`loading`: every call answers -28. `downloading`: the first download of blocks goes on."""
    pruned_below: int = 0
    has_index: bool = True
    """Whether any transaction of the chain is found by its txid (`-txindex`)."""
    feerate_sats_per_kvb: int | None = None
    mischief: Mischief = field(default_factory=Mischief)
    _lies: dict[str, Transaction] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _index: ChainIndex = field(default_factory=ChainIndex)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        # The test goes on using its own: an instance is for one thread.
        self._reader = RegtestChain(self.chain.folder)
        self._server = Server(self._answer, self.mischief)
        self._login = f"__cookie__:{secrets.token_hex(32)}"
        for file in (self.cookie, self.password_file):
            file.write_text(self._login, encoding="ascii")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def esplora_url(self) -> str:
        return self.url + esplora.PREFIX

    @property
    def cookie(self) -> Path:
        return self.folder / ".cookie"

    @property
    def password_file(self) -> Path:
        return self.folder / "rpcpassword"

    def start(self) -> None:
        """Answer, on the same port as before."""
        self._server.start(self._login)

    def stop(self) -> None:
        """Be gone: connections are closed, new ones refused."""
        self._server.stop()

    def view(self) -> View:
        """Look at the chain as it is now."""
        return View(self._reader)

    def index(self, view: View) -> ChainIndex:
        """Return the index, brought up to what is in view."""
        self._index.follow(view)
        return self._index

    def take(self, transaction: Transaction) -> str:
        """Put a transaction into the mempool."""
        return self._reader.broadcast(transaction.raw)

    def first_seen(self, txid: str) -> int:
        """Return when the daemon first spoke of a transaction."""
        return self._seen.setdefault(txid, int(time.time()))

    def answer_with_status(self, status: int, times: int = 1) -> None:
        """Answer the next requests with an HTTP status and nothing of use."""
        self.mischief.statuses += [status] * times

    def cut_after(self, answers: int, times: int = 1) -> None:
        """Answer so many requests whole; of the next, send half and close the connection."""
        self.mischief.whole_answers, self.mischief.cuts = answers, times

    @property
    def delay_seconds(self) -> float:
        return self.mischief.delay_seconds

    @delay_seconds.setter
    def delay_seconds(self, seconds: float) -> None:
        self.mischief.delay_seconds = seconds

    def lie(self, txid: str, raw: bytes) -> None:
        """Answer another transaction wherever this one is asked for."""
        self._lies[txid] = parse_transaction(raw)

    def told(self, transaction: Transaction) -> Transaction:
        """Return what is said instead of a transaction: as a rule, itself."""
        return self._lies.get(transaction.txid, transaction)

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            if request.path.startswith(esplora.PREFIX):
                return esplora.answer(self, request)
            return Answer.of_json(reply(request.body, self._ask))

    def _ask(self, method: str, params: Params) -> object:
        if self.syncing == "loading":
            raise RpcError(WARMING_UP, "Loading block index…")
        if method not in NODE_CALLS:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        return call(NODE_CALLS[method], (self,), params)


@contextmanager
def serve(chain: RegtestChain, folder: Path) -> Iterator[Daemon]:
    """Serve a chain until the block ends; cookie and wallets lie in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    daemon = Daemon(chain, folder)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
