"""Where blocks and transactions come from: what every chain source answers."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from coordinator.errors import UsageError

EMBEDDED_SCHEME = "regtest:"
OFFLINE_SCHEME = "none:"


class Tip(NamedTuple):
    """The newest block of the best chain."""

    height: int
    hash: str


@dataclass(frozen=True)
class Watch:
    """The scripts a vault owns, and the tip up to which it knows everything."""

    scripts: AbstractSet[bytes]
    since: Tip | None = None


class SeenTransaction(NamedTuple):
    """A transaction that pays to or spends from a watched script; without a height it waits."""

    txid: str
    raw: bytes
    height: int | None = None
    block_hash: str | None = None
    time: int | None = None


@dataclass(frozen=True)
class ChainUpdate:
    """What happened to the watched scripts since the last tip.

    Where the last tip is no longer on the chain, `reorganised_to` is the height up to which
    earlier knowledge holds; everything confirmed above it is told again. Waiting transactions
    are listed whole each time: one that is known, unconfirmed and not listed has vanished.
    """

    tip: Tip
    reorganised_to: int | None
    transactions: tuple[SeenTransaction, ...]


class ChainSource(Protocol):
    """A view of the block chain that can be asked and can send."""

    def tip(self) -> Tip:
        """Return the newest block."""
        ...

    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what happened to the watched scripts since the watch's tip."""
        ...

    def feerate(self, blocks: int) -> int:
        """Return the fee rate in sat/kvB that confirms within so many blocks."""
        ...

    def broadcast(self, transaction: bytes) -> str:
        """Send a transaction and return its txid; one already known is no error."""
        ...

    def close(self) -> None:
        """Let go of what the source holds."""
        ...


def open_chain(url: str, folder: Path) -> ChainSource:
    """Open the chain source a URL names; what it keeps lies in the folder."""
    if url == OFFLINE_SCHEME:
        from coordinator.chain.offline import OfflineChain  # noqa: PLC0415 -- imports this module

        return OfflineChain()
    if url != EMBEDDED_SCHEME:
        raise UsageError(f"chain {url} is none this program can ask")
    from coordinator.chain.regtest import RegtestChain  # noqa: PLC0415 -- imports this module

    return RegtestChain(folder)
