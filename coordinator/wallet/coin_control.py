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
        tip = tip_height(db, vault)
        depths = {coin: confirmations(coin.height, tip) for coin in free}
        found = [coin for coin in free if depths[coin] >= choice.min_confirmations]
        if free and not found:
            raise UsageError(
                f"no free coin of vault {vault.name} has {choice.min_confirmations} confirmations; "
                f"the oldest has {max(depths.values())}"
            )
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


def _names(db: Session, vault: Vault, coins: Sequence[Coin]) -> dict[Coin, set[str]]:
    """Return what each coin goes by."""
    own, made_by, addresses = (label_book.named(db, kind) for kind in ("output", "tx", "addr"))
    policy = stored_policy(vault)
    places = ((coin.keychain, coin.index) for coin in coins)
    scripts = scripts_at(policy, places) if addresses else {}
    called = {
        place: addresses.get(format_address(script, policy.network))
        for place, script in scripts.items()
    }
    found = {}
    for coin in coins:
        names = (
            own.get(str(coin.outpoint)),
            made_by.get(coin.outpoint.txid),
            called.get((coin.keychain, coin.index)),
        )
        found[coin] = {name for name in names if name}
    return found
