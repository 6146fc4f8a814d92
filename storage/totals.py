"""What a vault's transactions and addresses came to, summed by the database."""

from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import InstrumentedAttribute as Column
from sqlalchemy.orm import Session

from storage.model import Coin, Vault


class Share(NamedTuple):
    """How many coins of a vault a transaction made or spent, and what they are worth."""

    coins: int
    sats: int


class Use(NamedTuple):
    """How often a script was paid, how much, what it still holds, and the last block with it."""

    payments: int
    received_sats: int
    held_sats: int
    last_height: int | None


def shares(db: Session, vault: Vault) -> tuple[dict[str, Share], dict[str, Share]]:
    """Return what each transaction made for a vault, and what each spent of it."""
    return _shares(db, vault, Coin.txid), _shares(db, vault, Coin.spent_by)


def spending_pairs(db: Session, vault: Vault) -> list[tuple[str, str]]:
    """Return every transaction whose coin another one spends, with that other."""
    pairs = select(Coin.txid, Coin.spent_by).where(
        Coin.vault_id == vault.id, Coin.spent_by.is_not(None)
    )
    return [(made, by) for made, by in db.execute(pairs.distinct()) if by]


def use_of_scripts(
    db: Session, vault: Vault, script_pubkey: bytes | None = None
) -> dict[bytes, Use]:
    """Return what came of the scripts of a vault that hold or held a coin, or of one of them."""
    one = () if script_pubkey is None else (Coin.script_pubkey == script_pubkey,)
    unspent = case((Coin.spent_by.is_(None), Coin.value_sats), else_=0)
    summed = (
        select(
            Coin.script_pubkey,
            func.count(),
            func.sum(Coin.value_sats),
            func.sum(unspent),
            func.max(Coin.height),
        )
        .where(Coin.vault_id == vault.id, *one)
        .group_by(Coin.script_pubkey)
    )
    return {
        script: Use(count, int(received), int(held), height)
        for script, count, received, held, height in db.execute(summed)
    }


def _shares(
    db: Session, vault: Vault, column: Column[str | None] | Column[str]
) -> dict[str, Share]:
    summed = (
        select(column, func.count(), func.sum(Coin.value_sats))
        .where(Coin.vault_id == vault.id, column.is_not(None))
        .group_by(column)
    )
    return {txid: Share(count, int(total)) for txid, count, total in db.execute(summed) if txid}
