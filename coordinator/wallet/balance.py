"""What vaults own, as of their last sync."""

from typing import Final, NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.errors import VaultAltered
from coordinator.wallet.coins import immature, tip_height, unspent
from coordinator.wallet.scans import Looked, looked
from storage import ceremonies as ceremony_book
from storage import vaults as vault_book
from storage.database import reading
from storage.model import Vault


class Balance(NamedTuple):
    """Amounts in satoshis; reserved coins are part of confirmed or pending too."""

    confirmed_sats: int
    pending_sats: int
    immature_sats: int
    reserved_sats: int

    @property
    def whole_sats(self) -> int:
        """Return what the vault owns, whether it can be spent now or not."""
        return self.confirmed_sats + self.pending_sats + self.immature_sats

    @property
    def free_sats(self) -> int:
        """Return what no ceremony holds, of what can be spent."""
        return self.confirmed_sats + self.pending_sats - self.reserved_sats


NOTHING: Final = Balance(0, 0, 0, 0)


class Owned(NamedTuple):
    """What a vault owns, and from where to where it was looked for.

    `fault` is why neither is known: the vault's own rows contradict one another.
    """

    balance: Balance
    looked: Looked
    fault: str | None = None

    def amounts(self) -> dict[str, int | None]:
        """Return the amounts as JSON has them: null, never 0, where nobody looked."""
        owned: dict[str, int | None] = self.balance._asdict()
        return owned if self.looked.known else dict.fromkeys(owned)


def balance(db: Session, vault: Vault) -> Balance:
    """Return a vault's amounts as of its last sync."""
    height = tip_height(db, vault)
    reserved = {(held.txid, held.vout) for held in ceremony_book.reserved(db, clock.now())}
    confirmed = pending = young = held = 0
    for coin in unspent(db, vault):
        if immature(coin.coinbase, coin.height, height):
            young += coin.value_sats
        elif coin.height is None:
            pending += coin.value_sats
        else:
            confirmed += coin.value_sats
        if (coin.txid, coin.vout) in reserved:
            held += coin.value_sats
    return Balance(confirmed, pending, young, held)


def owned(db: Session, vault: Vault) -> Owned:
    """Return what a vault owns; where its keys and its descriptor disagree, that they do.

    So one altered vault keeps no other back. Raises for whatever else is damaged.
    """
    try:
        return Owned(balance(db, vault), looked(db, vault))
    except VaultAltered as failure:
        return Owned(NOTHING, Looked(known=False), str(failure))


def balances(database: sessionmaker[Session], vault: str | None) -> dict[str, Owned]:
    """Return the amounts of one vault or all, by name, and how far each was looked for.

    Raises VaultAltered where the vault that was named contradicts itself.
    """
    with reading(database).begin() as db:
        if vault is not None:
            named = vault_book.vault_named(db, vault)
            return {vault: Owned(balance(db, named), looked(db, named))}
        return {record.name: owned(db, record) for record in vault_book.all_vaults(db)}
