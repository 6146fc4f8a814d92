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
from functools import partial
from pathlib import Path

from coordinator.chain.regtest import RegtestChain
from psbt.transaction import Transaction, parse_transaction
from tests.servers import esplora, history, imports, node, pool, wallets
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
from tests.servers.standing import Standing
from tests.servers.view import View
from tests.servers.wallet import Wallet, read_wallet
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
        wallets.createwallet,
        wallets.loadwallet,
        wallets.unloadwallet,
        wallets.listwallets,
        wallets.listwalletdir,
        imports.getdescriptorinfo,
    )
}
WALLET_CALLS: dict[str, Call] = {
    function.__name__: function
    for function in (
        imports.importdescriptors,
        imports.listdescriptors,
        imports.getwalletinfo,
        imports.rescanblockchain,
        imports.abortrescan,
        history.listsinceblock,
        history.gettransaction,
        history.listunspent,
        history.getbalances,
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
    mempool_min_sats_per_kvb: int = 100
    keypool: int = 1000
    """How many scripts are watched beyond the last one used (`-keypool`)."""
    scan_seconds: float = 0.0
    """How long a wallet's search through old blocks takes at least."""
    loaded: dict[str, Wallet] = field(default_factory=dict)
    mischief: Mischief = field(default_factory=Mischief)
    lies: dict[str, Transaction] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _index: ChainIndex = field(default_factory=ChainIndex)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        # The test goes on using its own: an instance is for one thread.
        self._reader = RegtestChain(self.chain._folder)
        self._view, self._seen_state = View(self._reader), None
        self._standing: Standing | None = None
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
        """Answer, on the same port as before; wallets made so are loaded."""
        for file in self.wallets_folder.glob("*/wallet.dat"):
            wallet = read_wallet(file)
            if wallet.on_startup:
                self.loaded[wallet.name] = wallet
        self._server.start(self._login)

    def stop(self) -> None:
        """Be gone: connections are closed, new ones refused, wallets no longer loaded."""
        for wallet in self.loaded.values():
            if wallet.scan:
                wallet.scan.aborted = True
        self._server.stop()
        for wallet in self.loaded.values():
            wallet.save()
        self.loaded.clear()

    def view(self) -> View:
        """Look at the chain as it is now; what was read stays while nothing changes."""
        mempool = self._reader._folder / "mempool.dat"
        state = mempool.stat() if mempool.exists() else None
        waits = (state.st_ino, state.st_mtime_ns) if state else None
        if self._seen_state != (tip := self._reader.tip(), waits):
            self._seen_state, self._view = (tip, waits), View(self._reader)
        return self._view

    @property
    def wallets_folder(self) -> Path:
        return self.folder / "regtest" / "wallets"

    def wallet_file(self, name: str) -> Path:
        return self.wallets_folder / name / "wallet.dat"

    def standing(self, wallet: Wallet) -> Standing:
        """Return how the wallet's transactions stand now."""
        view = self.view()
        kept = self._standing
        if kept and (kept.wallet, kept.view, kept.size) == (wallet, view, len(wallet.known)):
            return kept
        self._standing = Standing(wallet, view, self.index(view))
        return self._standing

    def look(self) -> None:
        """Let every wallet see what the chain holds now, as any request does."""
        with self._lock:
            view = self.view()
            for wallet in self.loaded.values():
                wallet.follow(view, self.keypool)

    def pause(self, seconds: float) -> None:
        """Let others ask while one request takes its time."""
        self._lock.release()
        time.sleep(seconds)
        self._lock.acquire()

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
        self.lies[txid] = parse_transaction(raw)

    def told(self, transaction: Transaction) -> Transaction:
        """Return what is said instead of a transaction: as a rule, itself."""
        return self.lies.get(transaction.txid, transaction)

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            if request.path.startswith(esplora.PREFIX):
                return esplora.answer(self, request)
            self.look()
            return Answer.of_json(reply(request.body, partial(self._ask, request.path)))

    def _ask(self, path: str, method: str, params: Params) -> object:
        if self.syncing == "loading":
            raise RpcError(WARMING_UP, "Loading block index…")
        if method in WALLET_CALLS:
            wallet = wallets.asked_wallet(self, path)
            return call(WALLET_CALLS[method], (self, wallet), params)
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
