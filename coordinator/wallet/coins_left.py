"""Which coins of a vault a payment leaves behind, why, and what would free them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator import clock
from coordinator.errors import InsufficientFunds
from coordinator.home.stored_policies import stored_policy
from coordinator.shown_text import counted
from coordinator.wallet.branches import is_ripe
from coordinator.wallet.coins import coin_holders, immature, tip_height, unspent
from psbt import errors as psbt_errors
from psbt.coins import Outpoint
from psbt.policy import PRIMARY
from storage import labels as label_book
from storage.model import Vault

FREE, FROZEN, IMMATURE, WAITING, UNRIPE = "free", "frozen", "immature", "waiting", "unripe"
WHY = {
    FROZEN: "frozen: cardquorum coin thaw OUTPOINT",
    IMMATURE: "newly mined and cannot be spent yet",
    WAITING: "in no block yet",
    UNRIPE: "not old enough for this branch",
    FREE: "more than fit, left out by a wish for coins, or dearer to spend than they are worth",
}


class HeldCoins(NamedTuple):
    """What a ceremony holds of a vault, until when, and on which computer it was opened."""

    ceremony: str
    coins: int
    sats: int
    until: datetime
    opened_on: str | None


class LeftCoins(NamedTuple):
    """Coins that stay for one reason."""

    why: str
    coins: int
    sats: int


@dataclass(frozen=True)
class CoinsLeft:
    """What stays of a vault beside the coins of a payment."""

    held: list[HeldCoins]
    others: list[LeftCoins]

    @property
    def coins(self) -> int:
        """Return how many coins stay."""
        held = sum(each.coins for each in self.held)
        return held + sum(each.coins for each in self.others)

    @property
    def sats(self) -> int:
        """Return what they are worth together."""
        held = sum(each.sats for each in self.held)
        return held + sum(each.sats for each in self.others)

    def sentences(self) -> Iterator[str]:
        """Yield what stays and why, those that a command frees first."""
        for held in self.held:
            yield (
                f"ceremony {held.ceremony} holds {counted(held.coins, 'coin')} of {held.sats} sats"
                f" until {clock.text(held.until)}"
            )
        for left in self.others:
            verb = "is" if left.coins == 1 else "are"
            yield f"{counted(left.coins, 'coin')} of {left.sats} sats {verb} {WHY[left.why]}"


def coins_left(
    db: Session, vault: Vault, spent: Collection[Outpoint], *, branch: str = PRIMARY
) -> CoinsLeft:
    """Return what stays of a vault beside these coins, which a branch spends."""
    meant = stored_policy(vault).branch(branch)
    holders = coin_holders(db, clock.now())
    frozen, tip = label_book.frozen(db), tip_height(db, vault)
    held: dict[str, HeldCoins] = {}
    others: dict[str, LeftCoins] = {}
    for coin in unspent(db, vault):
        outpoint = Outpoint(coin.txid, coin.vout)
        if outpoint in spent:
            continue
        holder = holders.get(outpoint)
        if holder is not None:
            empty = HeldCoins(holder.ceremony, 0, 0, holder.until, holder.opened_on)
            known = held.get(holder.ceremony, empty)
            held[holder.ceremony] = known._replace(
                coins=known.coins + 1, sats=known.sats + coin.value_sats
            )
            continue
        why = FREE
        if str(outpoint) in frozen:
            why = FROZEN
        elif immature(coin.coinbase, coin.height, tip):
            why = IMMATURE
        elif coin.height is None:
            why = WAITING
        elif not is_ripe(meant, coin.height, tip):
            why = UNRIPE
        left = others.get(why, LeftCoins(why, 0, 0))
        others[why] = left._replace(coins=left.coins + 1, sats=left.sats + coin.value_sats)
    return CoinsLeft(list(held.values()), [others[why] for why in WHY if why in others])


def explained(
    db: Session,
    vault: Vault,
    failure: psbt_errors.InsufficientFunds,
    *,
    most: int,
    spent: Collection[Outpoint] = (),
    branch: str = PRIMARY,
) -> InsufficientFunds:
    """Return the refusal of a payment with what the vault has beside what can be spent.

    `most` is how many coins fit into one transaction, `spent` those that it spends in any case.
    """
    left = coins_left(db, vault, spent, branch=branch)
    free = next((each for each in left.others if each.why == FREE), None)
    told = [
        sentence
        for sentence, each in zip(left.sentences(), (*left.held, *left.others), strict=True)
        if each is not free
    ]
    crowded = free is not None and free.coins > most and free.sats >= failure.need_sats
    if free is not None and crowded:
        told.append(f"only {most} of {free.coins} coins fit into one transaction")
    freeing = [
        f"finish it or free its coins: cardquorum spend abandon {each.ceremony}"
        for each in left.held
    ]
    if crowded:
        freeing.insert(0, f"merge coins first: cardquorum spend consolidate {vault.name}")
    return InsufficientFunds(
        failure.have_sats,
        failure.need_sats,
        reasons=told,
        ceremonies=[each._asdict() for each in left.held],
        remedy="; ".join(freeing) or "pay less, or wait for more coins",
    )
