"""Which waiting payments a transaction would take the place of, and what they pay."""

from collections.abc import Collection, Iterator

from sqlalchemy.orm import Session

from psbt.coins import Outpoint
from psbt.replacement import Rival
from psbt.transaction import Transaction, parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book


def rivals(db: Session, spent: Collection[Outpoint], txid: str) -> Iterator[Rival]:
    """Yield the payments that wait and spend one of these coins, but for the payment itself."""
    takers = chain_book.waiting_takers(db, spent) - {txid}
    raws = chain_book.raw_transactions(db, takers)
    for taker in sorted(takers & raws.keys()):
        transaction = parse_transaction(raws[taker])
        fee_sats = _fee(db, transaction)
        descendants = _descendants_fee(db, taker)
        yield Rival(taker, transaction.vsize, fee_sats, descendants)


def _fee(db: Session, transaction: Transaction) -> int | None:
    """Return what a transaction pays; None where it spends coins that are not known here."""
    known = ceremony_book.fees_of(db, [transaction.txid])
    if known:
        return known[0]
    coins = [chain_book.coin_at(db, *tx_in.outpoint) for tx_in in transaction.inputs]
    values = [coin.value_sats for coin in coins if coin is not None]
    if len(values) < len(coins):
        return None
    return sum(values) - sum(output.value_sats for output in transaction.outputs)


def _descendants_fee(db: Session, txid: str) -> int:
    """Return what the waiting payments pay that spend what a payment made for a vault."""
    family, fees = [txid], 0
    for parent in family:
        children = chain_book.waiting_children(db, parent) - set(family)
        family += sorted(children)
        fees += sum(ceremony_book.fees_of(db, children))
    return fees
