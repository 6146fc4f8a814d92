"""Which coins a branch can spend now, and sweeping those that a later one can."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.errors import NotRipe, UsageError
from coordinator.home.stored_policies import stored_policy
from coordinator.wallet.branches import chain_clock, is_ripe, opening
from psbt.coins import Coin, Outpoint
from psbt.policy import PRIMARY, Branch
from storage import chain as chain_book
from storage.model import Vault


class Ripens(NamedTuple):
    """A coin that a branch cannot spend yet, and the first block that can; None while it waits."""

    outpoint: str
    value_sats: int
    height: int | None
    date: datetime | None


def ripe_coins(
    db: Session, vault: Vault, coins: Sequence[Coin], *, branch: str, named: Collection[Outpoint]
) -> Sequence[Coin]:
    """Return the coins that a branch can spend in the next block.

    Raises NotRipe where it can spend none of them, or not one that is named. A home that asks no
    chain does not know how old they are: there a coin that is in a block counts as ripe.
    """
    if branch == PRIMARY:
        return coins
    meant = stored_policy(vault).branch(branch)
    seen = chain_book.sync_state(db, vault)
    tip = seen.height if seen is not None else None
    ripe = [coin for coin in coins if is_ripe(meant, coin.height, tip)]
    known = {coin.outpoint for coin in ripe}
    for coin in coins:
        if coin.outpoint in named and coin.outpoint not in known:
            raise _not_ripe(db, vault, meant, heights=[coin.height], what=f"coin {coin.outpoint}")
    if coins and not ripe:
        heights = [coin.height for coin in coins]
        raise _not_ripe(db, vault, meant, heights=heights, what=f"vault {vault.name}")
    return ripe


def _not_ripe(
    db: Session, vault: Vault, branch: Branch, *, heights: Iterable[int | None], what: str
) -> NotRipe:
    seen = chain_clock(db, vault)
    opens = opening(branch, heights, seen)
    if opens is None or seen is None:
        return NotRipe(what, branch.name, height=None, date=None, about="")
    left = opens.height - seen.tip
    about = f"{seen.about(opens.height)}, {left} blocks after block {seen.tip}"
    return NotRipe(what, branch.name, height=opens.height, date=opens.date, about=about)


def later_branch(vault: Vault, name: str | None) -> str:
    """Return the branch that is meant, without a name the first that opens later.

    Raises UsageError where there is none such.
    """
    later = [branch.name for branch in stored_policy(vault).recoveries]
    if not later:
        raise UsageError(f"vault {vault.name} has no branch that opens later")
    if name is not None and name not in later:
        raise UsageError(f"vault {vault.name} has no branch {name}; expected {' or '.join(later)}")
    return name or later[0]


def unripe(db: Session, vault: Vault, branch: str) -> list[Ripens]:
    """Return the coins that a branch cannot spend yet, the first to ripen first."""
    meant, seen = stored_policy(vault).branch(branch), chain_clock(db, vault)
    found = []
    for coin in chain_book.unspent_coins(db, vault):
        if not is_ripe(meant, coin.height, seen.tip if seen else None):
            opens = opening(meant, [coin.height], seen) if coin.height is not None else None
            height, date = opens if opens is not None else (None, None)
            found.append(Ripens(f"{coin.txid}:{coin.vout}", coin.value_sats, height, date))
    return sorted(found, key=lambda each: (each.height is None, each.height or 0, each.outpoint))
