"""Putting the next block together."""

from collections.abc import Mapping
from datetime import datetime

from coordinator.chain.regtest.blocks import MAX_BLOCK_WEIGHT, Block, Template, mine_block
from coordinator.chain.regtest.ledger import Ledger
from coordinator.chain.regtest.policy import Waiting

RESERVED_WEIGHT = 4_000


def next_block(
    ledger: Ledger, waiting: Mapping[str, Waiting], script_pubkey: bytes, *, now: datetime
) -> Block:
    """Mine what waits onto the tip."""
    chosen = fitting(waiting)
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


def rival_blocks(
    ledger: Ledger, height: int, script_pubkey: bytes, *, now: datetime
) -> list[Block]:
    """Mine empty blocks from a height on until they outgrow the best chain."""
    branch = ledger.branch(ledger.hashes[height])
    # A block like the one it rivals would be that very block: only the time tells them apart.
    later = datetime.fromtimestamp(ledger.time(height + 1) + 1, now.tzinfo)
    rivals: list[Block] = []
    while branch.tip.height <= ledger.tip.height:
        rivals.append(next_block(branch, {}, script_pubkey, now=max(now, later)))
        branch.add(rivals[-1])
    return rivals


def fitting(waiting: Mapping[str, Waiting]) -> list[Waiting]:
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
