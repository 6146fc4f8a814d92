"""Which of a vault's free coins a payment may take: by label, or by age."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from coordinator.errors import UsageError
from coordinator.home.stored_policies import stored_policy
from coordinator.wallet.coins import confirmations, tip_height
from coordinator.wallet.scripts import scripts_at
from psbt.coins import Coin
from psbt.policy import format_address
from storage import labels as label_book
from storage.model import Vault


@dataclass(frozen=True)
class Choice:
    """What a coin must be called, what it must not be called, and how deep it must lie."""

    labelled: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()
    min_confirmations: int = 0


ANY = Choice()


def chosen(db: Session, vault: Vault, free: Sequence[Coin], *, choice: Choice) -> list[Coin]:
    """Return the free coins that fit; raises UsageError that says which wish fits none.

    A coin goes by its own label and by those of its address and its transaction.
    """
    found = list(free)
    if choice.min_confirmations:
        found = _deep(found, tip_height(db, vault), choice.min_confirmations, vault=vault.name)
    if not (choice.labelled or choice.avoided):
        return found
    names = _names(db, vault, found)
    for label in choice.labelled:
        if not any(label in names[coin] for coin in found):
            raise UsageError(f"no free coin of vault {vault.name} is labelled {label!r}")
    wanted, avoided = set(choice.labelled), set(choice.avoided)
    return [
        coin for coin in found if (not wanted or names[coin] & wanted) and not names[coin] & avoided
    ]


def _deep(coins: Sequence[Coin], tip: int, least: int, *, vault: str) -> list[Coin]:
    found = [coin for coin in coins if confirmations(coin.height, tip) >= least]
    if coins and not found:
        most = max(confirmations(coin.height, tip) for coin in coins)
        raise UsageError(
            f"no free coin of vault {vault} has {least} confirmations; the oldest has {most}"
        )
    return found


def _names(db: Session, vault: Vault, coins: Sequence[Coin]) -> dict[Coin, set[str]]:
    """Return what each coin goes by."""
    own, made_by = label_book.named(db, "output"), label_book.named(db, "tx")
    places = _named_places(db, vault, coins)
    found = {
        coin: (
            own.get(str(coin.outpoint)),
            made_by.get(coin.outpoint.txid),
            places.get((coin.keychain, coin.index)),
        )
        for coin in coins
    }
    return {coin: {name for name in names if name} for coin, names in found.items()}


def _named_places(db: Session, vault: Vault, coins: Sequence[Coin]) -> dict[tuple[int, int], str]:
    """Return what the coins' addresses are called, by (keychain, index)."""
    names = label_book.named(db, "addr")
    if not names:
        return {}
    policy = stored_policy(vault)
    scripts = scripts_at(policy, ((coin.keychain, coin.index) for coin in coins))
    addresses = {place: format_address(script, policy.network) for place, script in scripts.items()}
    return {place: names[address] for place, address in addresses.items() if address in names}
