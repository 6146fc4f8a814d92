"""A watch-only descriptor wallet of the daemon: what it watches, what it has seen."""

import json
import re
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from coordinator.chain.regtest.blocks import Block
from psbt.coins import Outpoint
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import (
    Policy,
    VaultScript,
    checksum,
    derive_scripts,
    format_descriptor,
    parse_descriptor,
)
from psbt.transaction import Transaction, parse_transaction
from tests.servers.view import View

ONE = re.compile(r"/([0-9]+)/\*")
PAIR = re.compile(r"/<([0-9]+);([0-9]+)>/\*")
RECEIVE, CHANGE = 0, 1


@dataclass
class Watched:
    """One keychain of an imported descriptor: the scripts from 0 up to `end` are watched."""

    descriptor: str
    keychain: int
    internal: bool
    active: bool
    timestamp: int
    end: int
    next_index: int = 0

    @property
    def text(self) -> str:
        """Return the keychain's own descriptor as the wallet lists it."""
        return _of_keychain(self.descriptor, self.keychain)

    @property
    def policy(self) -> Policy:
        return _parsed(self.descriptor)


@dataclass(frozen=True)
class Mine:
    """A script of the wallet."""

    watched: Watched
    script: VaultScript


@dataclass
class Scan:
    """A scan that goes on."""

    started: float
    seconds: float
    aborted: bool = False

    @property
    def duration(self) -> float:
        return time.monotonic() - self.started

    @property
    def progress(self) -> float:
        return min(1.0, self.duration / self.seconds) if self.seconds else 1.0


@dataclass(eq=False)
class Wallet:
    """A wallet in its file; what it says of a transaction depends on the chain at that time."""

    name: str
    file: Path
    on_startup: bool = False
    tip: str = ""
    watched: list[Watched] = field(default_factory=list)
    known: dict[str, Transaction] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    scripts: dict[bytes, Mine] = field(default_factory=dict)
    coins: dict[Outpoint, Mine] = field(default_factory=dict)
    scan: Scan | None = None

    def watch(self, item: Watched, keypool: int) -> None:
        """Watch a keychain from now on; one watched already is extended."""
        for other in self.watched:
            if (other.descriptor, other.keychain) == (item.descriptor, item.keychain):
                other.end, other.active = max(other.end, item.end), item.active
                other.timestamp = min(other.timestamp, item.timestamp)
                item = other
                break
        else:
            self.watched.append(item)
        self._extend(item, keypool, start=0)

    def follow(self, view: View, keypool: int) -> None:
        """Take in what happened since the last time, in blocks and in the mempool."""
        for _, block in view.ledger.blocks_above(view.ledger.fork_height(self.tip)):
            self.read(block, keypool)
        for waiting in view.waiting.values():
            self._take(waiting.transaction, keypool)
        self.tip = view.ledger.tip.hash

    def read(self, block: Block, keypool: int) -> None:
        """Keep the block's transactions that concern the wallet."""
        for transaction in block.transactions:
            self._take(transaction, keypool)

    def save(self) -> None:
        """Write the file; scripts and coins are derived from it again."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        known = {txid: transaction.raw.hex() for txid, transaction in self.known.items()}
        told = {
            "name": self.name,
            "on_startup": self.on_startup,
            "tip": self.tip,
            "watched": [asdict(item) for item in self.watched],
            "known": known,
            "received": self.received,
        }
        self.file.write_text(json.dumps(told), encoding="utf-8")

    def _extend(self, item: Watched, keypool: int, start: int) -> None:
        item.end = max(item.end, item.next_index + keypool)
        for script in derive_scripts(item.policy, item.keychain, range(start, item.end)):
            self.scripts[script.script_pubkey] = Mine(item, script)

    def _take(self, transaction: Transaction, keypool: int) -> None:
        paid = [
            (Outpoint(transaction.txid, vout), self.scripts[output.script_pubkey])
            for vout, output in enumerate(transaction.outputs)
            if output.script_pubkey in self.scripts
        ]
        spends = any(item.outpoint in self.coins for item in transaction.inputs)
        if transaction.txid in self.known or not (paid or spends):
            return
        self.known[transaction.txid] = transaction
        self.received[transaction.txid] = int(time.time())
        self.coins.update(paid)
        for _, mine in paid:
            self._use(mine, keypool)

    def _use(self, mine: Mine, keypool: int) -> None:
        """Hand out the next addresses only after a used one."""
        item = mine.watched
        if mine.script.index >= item.next_index:
            item.next_index = mine.script.index + 1
            self._extend(item, keypool, start=item.end)


def read_wallet(file: Path) -> Wallet:
    """Read a wallet's file."""
    told = json.loads(file.read_text(encoding="utf-8"))
    wallet = Wallet(told["name"], file, told["on_startup"], told["tip"])
    for item in told["watched"]:
        wallet.watch(Watched(**item), 0)
    wallet.known = {
        txid: parse_transaction(bytes.fromhex(raw)) for txid, raw in told["known"].items()
    }
    wallet.received = told["received"]
    for txid, transaction in wallet.known.items():
        for vout, output in enumerate(transaction.outputs):
            if output.script_pubkey in wallet.scripts:
                wallet.coins[Outpoint(txid, vout)] = wallet.scripts[output.script_pubkey]
    return wallet


def keychains_of(descriptor: str) -> tuple[str, list[int]]:
    """Return the two-path descriptor, as the wallet writes it, and which keychains were meant.

    Below a key of several places the even steps are for receiving, the odd ones for change.
    """
    body = descriptor.partition("#")[0]
    steps = [int(step) for step in ONE.findall(body)]
    if steps:
        pairs = ONE.sub(lambda found: _pair(int(found[1])), body)
        return _normal(pairs), [steps[0] % 2]
    if not PAIR.search(body):
        raise PolicyError("A function is needed within P2WSH")
    return _normal(body), [RECEIVE, CHANGE]


def _pair(step: int) -> str:
    first = step - step % 2
    return f"/<{first};{first + 1}>/*"


def _normal(body: str) -> str:
    return format_descriptor(parse_descriptor(body, Network.REGTEST))


@lru_cache
def _parsed(descriptor: str) -> Policy:
    return parse_descriptor(descriptor, Network.REGTEST)


@lru_cache
def _of_keychain(descriptor: str, keychain: int) -> str:
    body = PAIR.sub(rf"/\g<{keychain + 1}>/*", descriptor.partition("#")[0])
    return f"{body}#{checksum(body)}"
