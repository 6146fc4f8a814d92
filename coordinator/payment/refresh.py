"""Moving a vault's coins to the vault itself, which starts the wait of its later branches anew."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.errors import UsageError
from coordinator.home.stored_policies import stored_policy
from coordinator.notices import Notice, Severity
from coordinator.payment import creation
from coordinator.payment.creation import Order
from coordinator.vault.addresses import new_address
from coordinator.wallet.refresh_state import Level, RefreshState, day_of, refresh_state
from psbt.coins import Coin, Wish, inputs_max
from psbt.policy import PRIMARY
from psbt.weight import fee_at
from storage.model import Vault


class RefreshCost(NamedTuple):
    """What a refresh costs at a fee rate: coins merged into one payment, or one payment each.

    Merging shows everybody that so many addresses have one owner.
    """

    coins: int
    merged_sats: int
    addresses_linked: int
    apart_sats: int


class Refresh(NamedTuple):
    """The orders that refresh a vault's coins, and what they cost."""

    orders: Sequence[Order]
    cost: RefreshCost
    left: int

    @property
    def notices(self) -> list[Notice]:
        """Return what a person must know of it."""
        found = []
        linked = self.cost.addresses_linked
        if len(self.orders) == 1 and linked > 1:
            told = f"{linked} addresses are seen to have one owner from then on"
            prices = f"{self.cost.apart_sats} sat in place of {self.cost.merged_sats}"
            remedy = f"--apart keeps them apart, for {prices}"
            found.append(Notice("coins_linked", Severity.WARNING, told, remedy))
        if self.left:
            told = f"{self.left} more coins are due and do not fit"
            found.append(Notice("coins_left", Severity.WARNING, told, "run it again after this"))
        return found


def refresh(
    db: Session,
    vault: Vault,
    feerate: int,
    *,
    apart: bool = False,
    every: bool = False,
    branch: str = PRIMARY,
) -> Refresh:
    """Return what moves the coins that are due, or every confirmed one, to fresh addresses.

    Merged they cost least, now and at the next refresh. A later branch moves those that it can
    spend by now. Raises UsageError where nothing is due, NotRipe where the branch is not open.
    """
    free = creation.offered(db, vault, Order(vault.name, (), feerate, branch=branch))
    coins = [coin for coin in free if coin.height is not None]
    state = refresh_state(db, vault)
    if not every:
        coins = _due(coins, state)
    if not coins:
        when = f": the oldest coin is due about {day_of(state.due)}" if state else ""
        raise UsageError(f"no coin of vault {vault.name} is due{when}; --all moves every one")
    wish, size = Wish((), feerate, creation.OWN_OUTPUT), stored_policy(vault).size_of(branch)
    most = inputs_max(wish, size)
    chosen = sorted(coins, key=lambda coin: (coin.height or 0, coin.outpoint))[:most]
    parts = [[coin] for coin in chosen] if apart else [chosen]
    orders = [
        Order(
            vault.name,
            (),
            feerate,
            drain=new_address(db, vault).script_pubkey,
            coins=tuple(coin.outpoint for coin in part),
            branch=branch,
        )
        for part in parts
    ]
    merged, single = (
        fee_at(feerate, creation.vsize_to_ourselves(vault, inputs, branch))
        for inputs in (len(chosen), 1)
    )
    places = {(coin.keychain, coin.index) for coin in chosen}
    cost = RefreshCost(len(chosen), merged, len(places), len(chosen) * single)
    return Refresh(orders, cost, len(coins) - len(chosen))


def _due(coins: Sequence[Coin], state: RefreshState | None) -> list[Coin]:
    """Return the coins for which half of the wait, or the owner's rhythm, has run."""
    if state is None or state.level is Level.LATER:
        return []
    age = state.due.height - state.height
    return [coin for coin in coins if (coin.height or 0) + age <= state.newest_block + 1]
