"""A vault that BDK cannot derive, found by the histories of its scripts, which are derived here.

BDK has no sortedmulti_a. A server that tells the history of a script is asked for each one's.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from coordinator.chain import (
    ChainUpdate,
    Scanned,
    SeenTransaction,
    Tip,
    Watch,
    check_tip,
    first_block,
)
from coordinator.errors import ChainError
from psbt.errors import PsbtError
from psbt.transaction import parse_transaction

TOLD_MAX = 200_000
"""Transactions of one vault that a server is believed to know."""


class Placed(NamedTuple):
    """A transaction that a server knows of a script, and its block; without a height it waits."""

    txid: str
    height: int | None


class Block(NamedTuple):
    """A block of the best chain: its hash, and when it says it was made."""

    hash: str
    time: int


@runtime_checkable
class HistoryClient(Protocol):
    """A connection to a server that tells the history of a script."""

    def tip(self) -> Tip:
        """Return the newest block."""
        ...

    def histories(self, scripts: Sequence[bytes]) -> Iterator[Placed]:
        """Yield what the server knows of these scripts."""
        ...

    def raw_transaction(self, txid: str) -> bytes:
        """Return a transaction; whether it is that one is looked at by who asked."""
        ...

    def block(self, height: int) -> Block:
        """Return the block at a height."""
        ...

    def prove(self, placed: Placed) -> None:
        """Raise ChainError where the server cannot prove that a block holds a transaction."""
        ...


def updated(client: HistoryClient, watch: Watch, network: str) -> ChainUpdate:
    """Return what happened to the watched scripts since the watch's tip; all where it is gone."""
    found: dict[str, int | None] = {}
    for placed in client.histories(sorted(watch.scripts)):
        if found.get(placed.txid) is None:
            found[placed.txid] = placed.height
        if len(found) > TOLD_MAX:
            raise ChainError(f"the server tells of more than {TOLD_MAX:,} transactions")
    tip, blocks = check_tip(client.tip()), dict[int, Block]()
    fork = None if watch.since is None or _stands(client, watch.since, tip) else 0
    known = watch.known() if fork is None else {}
    told: list[SeenTransaction] = []
    for txid, height in found.items():
        if height is None:
            told.append(SeenTransaction(txid, _raw(client, txid)))
        elif known.get(txid) != height:
            client.prove(Placed(txid, height))
            block = blocks.setdefault(height, client.block(height))
            told.append(SeenTransaction(txid, _raw(client, txid), height, block.hash, block.time))
    scanned = Scanned(first_block(network, watch.descriptor))
    return ChainUpdate(tip, fork, tuple(told), scanned=scanned)


def _stands(client: HistoryClient, since: Tip, tip: Tip) -> bool:
    """Tell whether a block is still one of the best chain."""
    if since.height > tip.height:
        return False
    return since == tip or client.block(since.height).hash == since.hash


def _raw(client: HistoryClient, txid: str) -> bytes:
    raw = client.raw_transaction(txid)
    try:
        given = parse_transaction(raw).txid
    except PsbtError as failure:
        raise ChainError(f"the server gives no transaction for {txid}: {failure}") from failure
    if given != txid:
        raise ChainError(f"the server gives {given} for {txid}")
    return raw
