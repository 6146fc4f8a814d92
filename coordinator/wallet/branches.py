"""When the branches of a vault open: for each coin, and for the vault by its oldest one."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.chain.block_dates import ChainClock, duration
from psbt.policy import Branch, Policy, Wait
from storage import chain as chain_book
from storage.model import Vault

REGTEST = "regtest"


class Opening(NamedTuple):
    """The first block that may spend by a branch, and about when it comes."""

    height: int
    date: datetime | None


class Ripening(NamedTuple):
    """Whether a coin can be spent by a branch, and from which block on; None while it waits."""

    branch: str
    ripe: bool
    height: int | None
    date: datetime | None


class BranchLine(NamedTuple):
    """A branch as a vault shows it; `opens` is None where no coin can ripen."""

    name: str
    threshold: int
    keys: list[str]
    wait: Wait | None
    opens: Opening | None
    open: bool


def chain_clock(db: Session, vault: Vault) -> ChainClock | None:
    """Return the newest block a vault is known up to, and when that was; None before a sync."""
    last = chain_book.last_sync(db, vault)
    if last is None:
        return None
    return ChainClock(last.to.height, last.at, clock.now(), mined=vault.network != REGTEST)


def is_ripe(branch: Branch, coin_height: int | None, tip: int | None) -> bool:
    """Tell whether the next block may spend a coin by a branch; by a later one if in a block.

    Where no chain is asked there is no tip, and how old a coin is nobody can tell.
    """
    if branch.wait is None:
        return True
    first = branch.wait.first_block(coin_height)
    return coin_height is not None and first is not None and (tip is None or first <= tip + 1)


def opening(
    branch: Branch, coin_heights: Iterable[int | None], seen: ChainClock | None
) -> Opening | None:
    """Return when a later branch opens for the oldest of these coins; None where it cannot yet."""
    if branch.wait is None:
        return None
    first = [block for each in (None, *coin_heights) if (block := branch.wait.first_block(each))]
    return dated(min(first), seen) if first else None


def dated(height: int, seen: ChainClock | None) -> Opening:
    """Return a block, and about when it comes."""
    expected = seen.expected(height) if seen is not None else None
    return Opening(height, expected.date if expected is not None else None)


def ripening(policy: Policy, coin_height: int | None, seen: ChainClock | None) -> list[Ripening]:
    """Return for each later branch whether a coin is ripe, and when it will be."""
    found = []
    for branch in policy.recoveries:
        opens = opening(branch, [coin_height], seen) if coin_height is not None else None
        ripe = seen is not None and is_ripe(branch, coin_height, seen.tip)
        height, date = opens if opens is not None else (None, None)
        found.append(Ripening(branch.name, ripe, height, date))
    return found


def branch_lines(db: Session, vault: Vault, policy: Policy) -> list[BranchLine]:
    """Return a vault's branches, the primary first."""
    seen = chain_clock(db, vault)
    heights = [coin.height for coin in chain_book.unspent_coins(db, vault)]
    labels = {(p.key.public_key, p.key.chain_code): p.label for p in vault.every_key}
    lines = []
    for branch in policy.branches:
        ripe = seen is not None and any(is_ripe(branch, each, seen.tip) for each in heights)
        keys = (use.expression.key for use in branch.keys)
        lines.append(
            BranchLine(
                branch.name,
                branch.threshold,
                [labels[key.public_key, key.chain_code] for key in keys],
                branch.wait,
                opening(branch, heights, seen),
                branch.wait is None or ripe,
            )
        )
    return lines


def waiting(blocks: int | None, height: int | None) -> str:
    """Say what a branch waits for."""
    if blocks is not None:
        return f"{blocks:,} blocks ({duration(blocks)}) after a payment".replace(",", " ")
    return f"from block {(height or 0) + 1:,} on".replace(",", " ")


def wait_words(line: BranchLine) -> str:
    """Say when a branch is open, with the date where one is known."""
    if line.wait is None:
        return "at any time"
    told = waiting(*line.wait)
    if line.open:
        return f"{told}: open now"
    if line.opens is None:
        return f"{told}: no coin waits for it yet"
    about = f", about {line.opens.date:%B %Y}" if line.opens.date else ""
    return f"{told}: opens in block {line.opens.height}{about}"
