"""A vault's coins: held against the chain, how deep each lies, what holds it."""

import platform
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from coordinator.errors import CoinReserved
from coordinator.home.stored_policies import stored_policy
from psbt.coins import Coin, Outpoint
from psbt.transaction import TransactionOutput, parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage.ceremonies import Held
from storage.errors import CoinTaken, RowDamaged
from storage.model import Ceremony, Vault

COINBASE_MATURITY = 100


def confirmations(height: int | None, tip: int) -> int:
    """Return how many blocks stand on what is in a block, its own included; 0 while it waits."""
    return 0 if height is None else max(0, tip - height + 1)


def tip_height(db: Session, vault: Vault) -> int:
    """Return the height a vault was last synced to."""
    state = chain_book.sync_state(db, vault)
    return state.height if state else 0


def unspent(db: Session, vault: Vault) -> list[chain_book.UnspentCoin]:
    """Return the coins nothing spends, each held against its transaction and its address.

    Raises RowDamaged or PolicyError where a row says anything else. That the address is the
    policy's is derived where it matters: where a coin is spent, or an address given out.
    """
    # Where keys and descriptor tell different stories nothing of the vault is told.
    stored_policy(vault)
    coins = chain_book.unspent_coins(db, vault)
    places = chain_book.scripts_by_place(db, vault)
    made = outputs_of(db, {coin.txid for coin in coins})
    for coin in coins:
        outputs = made.get(coin.txid, ())
        said = (coin.value_sats, coin.script_pubkey)
        if (
            coin.vout >= len(outputs)
            or outputs[coin.vout] != said
            or places.get((coin.keychain, coin.index)) != coin.script_pubkey
        ):
            raise RowDamaged(
                f"the coin {coin.txid}:{coin.vout} stored for vault {vault.name} is not what the "
                "chain made"
            )
    return coins


def outputs_of(db: Session, txids: Collection[str]) -> dict[str, tuple[TransactionOutput, ...]]:
    """Return the outputs of the stored ones of these transactions; none where it is another."""
    made = {
        txid: parse_transaction(raw) for txid, raw in chain_book.raw_transactions(db, txids).items()
    }
    return {txid: each.outputs if each.txid == txid else () for txid, each in made.items()}


def spendable(db: Session, vault: Vault) -> list[Coin]:
    """Return the unspent mature coins of a vault, reserved ones too."""
    height = tip_height(db, vault)
    return [
        Coin(
            Outpoint(coin.txid, coin.vout), coin.value_sats, coin.keychain, coin.index, coin.height
        )
        for coin in unspent(db, vault)
        if not immature(coin.coinbase, coin.height, height)
    ]


def coin_holders(db: Session, now: datetime) -> dict[Outpoint, Held]:
    """Return who holds which coin at a moment."""
    return {Outpoint(held.txid, held.vout): held for held in ceremony_book.reserved(db, now)}


def hold_coins(
    db: Session,
    ceremony: Ceremony,
    outpoints: Iterable[Outpoint],
    *,
    expires: datetime,
    now: datetime,
) -> None:
    """Hold coins for a ceremony until `expires`; raises CoinReserved where another holds one."""
    try:
        ceremony_book.reserve(db, ceremony, outpoints, expires=expires, now=now)
    except CoinTaken as taken:
        raise refusal(taken) from taken


def refusal(held: Held | CoinTaken) -> CoinReserved:
    """Return what to raise for a coin that is held."""
    outpoint = str(Outpoint(held.txid, held.vout))
    return CoinReserved(outpoint, held.ceremony, held.until, opened_on=held.opened_on)


def this_computer() -> str:
    """Return this computer's name: whoever shares a home is told by it, not by a person's."""
    return platform.node() or "unknown"


def immature(coinbase: bool, height: int | None, tip: int) -> bool:  # noqa: FBT001 -- a row's field
    """Return whether a coin is newly mined and cannot be spent yet."""
    return coinbase and (height is None or tip - height + 1 < COINBASE_MATURITY)
