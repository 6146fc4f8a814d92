"""Where blocks and transactions come from: what every chain source answers."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from coordinator.errors import ChainError
from coordinator.foreign_json import HASH, HEIGHT_MAX, TIME_MAX
from psbt.relay import CORE_30, RelayRules

INDEX_MAX = 1_100_000
"""No more addresses of a keychain are believed to be used: each is derived here."""


Report = Callable[[str], None]
"""Hears how far long work is, a short text at a time."""


class Tip(NamedTuple):
    """The newest block of the best chain."""

    height: int
    hash: str


class Birthday(NamedTuple):
    """When a vault's first address was made; nothing known is the first block."""

    moment: datetime | None = None
    height: int | None = None


UNKNOWN = Birthday()
SEGWIT_HEIGHTS = {"mainnet": 481_824}
P2SH_HEIGHTS = {"mainnet": 173_805}


def first_block(network: str, descriptor: str = "") -> int:
    """Return the first block that can pay a vault: where SegWit began, for sh where P2SH did."""
    legacy = descriptor.startswith("sh(") and not descriptor.startswith("sh(wsh(")
    return (P2SH_HEIGHTS if legacy else SEGWIT_HEIGHTS).get(network, 0)


class Scanned(NamedTuple):
    """From which block on a source has looked at a watch's scripts.

    `earlier_unknown` where it has no blocks before that, though the vault may be older.
    """

    from_height: int
    earlier_unknown: bool = False


class Watch(NamedTuple):
    """The scripts a vault owns, and the tip up to which it knows everything.

    `descriptor` is the two-path descriptor with its checksum, of which `reach` scripts a keychain
    (receive, change) are in `scripts`; sources that derive for themselves start from there.
    `known` returns the heights of the transactions known to be in blocks, by txid.
    `rescan` asks for another look from there on, whatever is known;
    `widened` says that some of the scripts were never looked for in blocks up to the tip.
    """

    scripts: AbstractSet[bytes]
    since: Tip | None = None
    descriptor: str = ""
    reach: tuple[int, int] = (0, 0)
    birthday: Birthday = UNKNOWN
    known: Callable[[], Mapping[str, int]] = dict
    rescan: Birthday | None = None
    widened: bool = False


class SeenTransaction(NamedTuple):
    """A transaction that pays to or spends from a watched script; without a height it waits."""

    txid: str
    raw: bytes
    height: int | None = None
    block_hash: str | None = None
    time: int | None = None


class ChainUpdate(NamedTuple):
    """What happened to the watched scripts since the last tip.

    Where the last tip is no longer on the chain, `reorganised_to` is the height up to which
    earlier knowledge holds; everything confirmed above it is told again. Waiting transactions
    are listed whole each time: one that is known, unconfirmed and not listed has vanished.
    A source that derives for itself says in `reach` how many scripts of each keychain it looked at.
    `scanned` says from where on, None as far as before; `notes` are sentences for the person.
    """

    tip: Tip
    reorganised_to: int | None
    transactions: tuple[SeenTransaction, ...]
    reach: tuple[int, int] | None = None
    scanned: Scanned | None = None
    notes: tuple[str, ...] = ()


def check_tip(tip: Tip) -> Tip:
    """Return a tip that can be one; raises ChainError."""
    if not 0 <= tip.height <= HEIGHT_MAX or not HASH.fullmatch(tip.hash):
        raise ChainError(f"the chain source gave an impossible tip: block {tip.height}")
    return tip


def check_update(update: ChainUpdate) -> ChainUpdate:
    """Return what a source told, whatever its kind, if it can be kept; raises ChainError."""
    check_tip(update.tip)
    for seen in update.transactions:
        placed = (seen.height is None) == (seen.block_hash is None)
        height, moment = seen.height or 0, seen.time or 0
        if not placed or not 0 <= height <= HEIGHT_MAX or not 0 <= moment <= TIME_MAX:
            raise ChainError(f"the chain source gave an impossible height for {seen.txid[:64]}")
        if not HASH.fullmatch(seen.txid) or not HASH.fullmatch(seen.block_hash or seen.txid):
            raise ChainError("the chain source gave a txid or block hash that is not 64 hex digits")
    if update.reach is not None and max(update.reach) > INDEX_MAX:
        raise ChainError(f"the chain source says it looked at {max(update.reach)} addresses")
    return update


class Relay(NamedTuple):
    """What a source relays, and the median time of its newest block where it tells (BIP 113)."""

    rules: RelayRules = CORE_30
    median_time: int | None = None


class ChainSource(Protocol):
    """A view of the block chain that can be asked and can send."""

    def tip(self) -> Tip:
        """Return the newest block."""
        ...

    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what happened to the watched scripts since the watch's tip."""
        ...

    def feerate(self, blocks: int) -> int:
        """Return the fee rate in sat/kvB that confirms within so many blocks.

        Raises NoEstimate where the source knows none.
        """
        ...

    def relay(self) -> Relay:
        """Return what the source relays; Core 30's values where it does not tell."""
        ...

    def broadcast(self, transaction: bytes) -> str:
        """Send a transaction and return its txid; one already known is no error."""
        ...

    def close(self) -> None:
        """Let go of what the source holds."""
        ...


@runtime_checkable
class StatedSource(Protocol):
    """A chain source that can tell, without looking, that it has no news."""

    def state(self) -> str:
        """Return a name for what chain and mempool hold now: another one whenever they do.

        While it stays a sync finds what it found before.
        """
        ...


class Package(NamedTuple):
    """A waiting transaction with every ancestor that waits too: vbytes, and satoshis paid."""

    vsize: int
    fee_sats: int


@runtime_checkable
class PackageSource(Protocol):
    """A chain source that knows what waits for a block, and what it pays."""

    def package(self, txid: str) -> Package:
        """Return what a waiting transaction and its waiting ancestors weigh and pay.

        Raises ChainError where it does not wait, or its fee cannot be known.
        """
        ...
