"""The embedded regtest chain: a node without a network, in one folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from coordinator import clock
from coordinator.chain import ChainUpdate, Package, Relay, Tip, Watch
from coordinator.chain.regtest import faucet
from coordinator.chain.regtest.blocks import (
    MAX_BLOCK_WEIGHT,
    Block,
    Template,
    mine_block,
    parse_block,
)
from coordinator.chain.regtest.engine import Judge, open_engine
from coordinator.chain.regtest.ledger import Ledger, scan
from coordinator.chain.regtest.lock import ChainLock
from coordinator.chain.regtest.log import BlockLog
from coordinator.chain.regtest.policy import Waiting, package
from coordinator.chain.regtest.pool import Pool, read_transactions, write_transactions
from coordinator.chain.regtest.rules import judge_by_rules
from coordinator.errors import ChainError, TransactionRejected
from psbt import consensus
from psbt.errors import PsbtError
from psbt.relay import CORE_30
from psbt.transaction import Transaction, parse_transaction

WAIT_SECONDS = 5.0
USUAL_FEERATE = 1_000
RESERVED_WEIGHT = 4_000


class RegtestChain:
    """A chain source that also mines, and pays from nothing.

    Reading needs no lock and no engine. Every method sees what other processes did meanwhile.
    """

    def __init__(
        self,
        folder: Path,
        wait_seconds: float = WAIT_SECONDS,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """Name the folder; it is made with the first block."""
        self._folder = folder
        self._now = now
        self._lock = ChainLock(folder, wait_seconds)
        self._log = BlockLog(folder / "blocks.dat")
        self._mempool_file = folder / "mempool.dat"
        self._ledger = Ledger()

    @property
    def verdict(self) -> str:
        """Return whose word it is that blocks and transactions are valid."""
        return consensus.ACCEPTED if consensus.engine_available() else consensus.OWN_CHECK

    def tip(self) -> Tip:
        """Return the newest block."""
        return self._read().tip

    def ledger(self) -> Ledger:
        """Return the best chain; the next call of any method may change it."""
        return self._read()

    def pool(self) -> Pool:
        """Return what waits for a block, and how the next block would find the coins."""
        return self._pool()

    def state(self) -> str:
        """Return the SHA-256 of all that is read here: blocks and mempool."""
        held = sha256()
        for file in (self._log.file, self._mempool_file):
            with suppress(FileNotFoundError):
                held.update(sha256(file.read_bytes()).digest())
            held.update(b";")
        return held.hexdigest()

    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what happened to the watched scripts since the watch's tip."""
        pool = self._pool()
        return scan(self._ledger, pool.transactions, watch)

    def feerate(self, blocks: int) -> int:
        """Return one sat/vB, in sat/kvB: the next block takes all that waits."""
        if blocks < 1:
            raise ChainError(f"no transaction confirms within {blocks} blocks")
        return USUAL_FEERATE

    def relay(self) -> Relay:
        """Return what Bitcoin Core 30 relays, and the median time of the newest block."""
        ledger = self._read()
        return Relay(CORE_30, ledger.median_time(ledger.tip.height))

    def broadcast(self, transaction: bytes) -> str:
        """Put a transaction into the mempool; one already known is no error."""
        try:
            parsed = parse_transaction(transaction)
        except PsbtError as failure:
            raise TransactionRejected(f"TX decode failed: {failure}") from failure
        with self._writing():
            self._send(parsed)
        return parsed.txid

    def mempool(self) -> list[str]:
        """Return the txids that wait for a block, parents first."""
        return list(self._pool().waiting)

    def package(self, txid: str) -> Package:
        """Return what a waiting transaction and its waiting ancestors weigh and pay."""
        return package(txid, self._pool().waiting)

    def transaction(self, txid: str) -> bytes | None:
        """Return a transaction of the best chain or the mempool."""
        pool = self._pool()
        if txid in pool.waiting:
            return pool.waiting[txid].transaction.raw
        confirmed = self._ledger.confirmed.get(txid)
        return confirmed.transaction.raw if confirmed else None

    def blocks(self, above: int = 0) -> list[tuple[int, Block]]:
        """Return height and block of the best chain above a height; genesis is never told."""
        return list(self._read().blocks_above(above))

    def mine(self, count: int, script_pubkey: bytes | None = None) -> list[str]:
        """Mine blocks that pay a script, or the faucet; returns their hashes."""
        with self._writing():
            return self._mine(count, script_pubkey or faucet.SCRIPT_PUBKEY)

    def fund(self, script_pubkey: bytes, value_sats: int, coins: int = 1) -> list[str]:
        """Pay an amount so many times, mining first what the faucet lacks; returns the txids."""
        wanted = faucet.Wanted(script_pubkey, value_sats, coins)
        with self._writing():
            missing = faucet.blocks_to_mine(wanted, self._pool().outlook.coins, self.tip().height)
            self._mine(missing, faucet.SCRIPT_PUBKEY)
            paid = []
            for each in wanted.portions():
                coins_left = self._pool().outlook.coins
                gift = faucet.pay(each, coins_left, self._ledger.tip.height)
                paid.append(self._send(gift, gift=True))
            return paid

    def submit(self, block: bytes) -> str:
        """Take in a block made elsewhere, if it is valid and follows the tip; returns its hash."""
        try:
            parsed = parse_block(block)
        except PsbtError as failure:
            raise ChainError(f"the block cannot be read: {failure}") from failure
        with self._writing(), self._judge() as judge:
            judge([parsed])
            self._keep([parsed])
        return parsed.hash

    def reorganise(self, height: int) -> list[str]:
        """Replace every block above a height by empty ones, one more; returns their hashes.

        The transactions of the replaced blocks wait again.
        """
        with self._writing(), self._judge() as judge:
            replaced = list(self._ledger.blocks_above(height))
            if not replaced:
                raise ChainError(f"there is no block above {height}")
            rivals = _rival_blocks(self._ledger, height, faucet.SCRIPT_PUBKEY, now=self._now())
            judge(rivals)
            returned = [t for _, block in replaced for t in block.transactions[1:]]
            waiting = read_transactions(self._mempool_file)
            write_transactions(self._mempool_file, [*returned, *waiting])
            self._keep(rivals)
        return [block.hash for block in rivals]

    def close(self) -> None:
        """Let go of nothing: between calls the chain holds no file and no lock."""

    def _read(self) -> Ledger:
        for block in self._log.news():
            self._ledger.add(block)
        return self._ledger

    def _pool(self) -> Pool:
        return Pool(self._read(), read_transactions(self._mempool_file))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock.held():
            self._read()
            yield

    @contextmanager
    def _judge(self) -> Iterator[Judge]:
        if self.verdict == consensus.OWN_CHECK:
            yield partial(judge_by_rules, self._ledger)
            return
        with open_engine(self._log.file, self._ledger.tip, self._folder / "engine") as judge:
            yield judge

    def _mine(self, count: int, script_pubkey: bytes) -> list[str]:
        if not count:
            return []
        mined = []
        with self._judge() as judge:
            for _ in range(count):
                waiting = self._pool().waiting
                block = _next_block(self._ledger, waiting, script_pubkey, now=self._now())
                judge([block])
                self._keep([block])
                if waiting:
                    write_transactions(self._mempool_file, self._pool().transactions)
                mined.append(block.hash)
        return mined

    def _keep(self, blocks: Sequence[Block]) -> None:
        self._log.append(blocks)
        self._read()

    def _send(self, transaction: Transaction, *, gift: bool = False) -> str:
        pool = self._pool()
        if transaction.txid not in pool.waiting and transaction.txid not in self._ledger.confirmed:
            admitted = pool.admit(transaction, gift=gift)
            write_transactions(self._mempool_file, admitted.transactions)
        return transaction.txid


def _next_block(
    ledger: Ledger, waiting: Mapping[str, Waiting], script_pubkey: bytes, *, now: datetime
) -> Block:
    """Mine what waits onto the tip."""
    chosen = _fitting(waiting)
    return mine_block(
        Template(
            ledger.tip.hash,
            ledger.tip.height + 1,
            max(int(now.timestamp()), ledger.median_time(ledger.tip.height) + 1),
            script_pubkey,
            sum(item.fee_sats for item in chosen),
            tuple(item.transaction for item in chosen),
        )
    )


def _rival_blocks(
    ledger: Ledger, height: int, script_pubkey: bytes, *, now: datetime
) -> list[Block]:
    """Mine empty blocks from a height on until they outgrow the best chain."""
    branch = ledger.branch(ledger.hashes[height])
    # A block like the one it rivals would be that very block: only the time tells them apart.
    later = datetime.fromtimestamp(ledger.time(height + 1) + 1, now.tzinfo)
    rivals: list[Block] = []
    while branch.tip.height <= ledger.tip.height:
        rivals.append(_next_block(branch, {}, script_pubkey, now=max(now, later)))
        branch.add(rivals[-1])
    return rivals


def _fitting(waiting: Mapping[str, Waiting]) -> list[Waiting]:
    """Return what fits into a block, in order; a child stays out with its parent."""
    room = MAX_BLOCK_WEIGHT - RESERVED_WEIGHT
    chosen: list[Waiting] = []
    left_out: set[str] = set()
    for txid, item in waiting.items():
        orphan = any(spent.outpoint.txid in left_out for spent in item.transaction.inputs)
        if orphan or item.transaction.weight > room:
            left_out.add(txid)
        else:
            chosen.append(item)
            room -= item.transaction.weight
    return chosen
