"""What happened to a vault's money, transaction by transaction, and where that left it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from typing import NamedTuple

from sqlalchemy.orm import Session

from coordinator.amounts import script_of
from coordinator.errors import UsageError
from coordinator.wallet import news
from coordinator.wallet.coins import confirmations, tip_height
from coordinator.wallet.news import News
from psbt.transaction import parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import labels as label_book
from storage import totals
from storage import vaults as vault_book
from storage.database import Database
from storage.model import ChainTransaction

RECEIVED, SENT, MOVED, BUMPED = "received", "sent", "moved", "bumped"
WAITING = 1 << 40


class HistoryLine(NamedTuple):
    """A transaction, what it changed for the vault in satoshis, and what was there after it.

    `fee_sats` where the vault paid all of it; `replaces` is the payment whose coins it took.
    """

    txid: str
    change_sats: int
    height: int | None
    time: datetime | None
    ceremony: str | None
    balance_sats: int
    kind: str
    fee_sats: int | None
    label: str | None
    address_labels: tuple[str, ...]
    first_seen: datetime
    confirmations: int
    final: bool
    replaces: str | None
    news: str | None


@dataclass(frozen=True)
class History:
    """A vault's transactions, waiting ones first, then newest first; and what vanished."""

    transactions: list[HistoryLine]
    vanished: list[News]


class _Nature(NamedTuple):
    """What a transaction was for a vault."""

    kind: str
    fee_sats: int | None
    address_labels: tuple[str, ...]


def history(database: Database, vault: str) -> History:
    """Return what happened to a vault's money."""
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        taken_back = news.unsettled(db, record)
        made, spent = totals.shares(db, record)
        changes = Counter({txid: share.sats for txid, share in made.items()})
        changes.subtract({txid: share.sats for txid, share in spent.items()})
        known, pairs = chain_book.transactions(db, changes), totals.spending_pairs(db, record)
        tip = tip_height(db, record)
        ceremonies = ceremony_book.ids_by_txid(db, changes, record)
        replaces = ceremony_book.replacements(db, record)
        labels = label_book.named(db, "tx")
        called = dict(_labelled_scripts(db, record.network))
        told = {each.txid: each.message for each in taken_back}
        lines, balance = [], 0
        for seen in _in_order(known, pairs):
            txid, depth = seen.txid, confirmations(seen.height, tip)
            balance += changes[txid]
            nature = _nature(
                seen, made.get(txid), spent.get(txid), bumped=txid in replaces, called=called
            )
            lines.append(
                HistoryLine(
                    txid=txid,
                    change_sats=changes[txid],
                    height=seen.height,
                    time=seen.block_time,
                    ceremony=ceremonies.get(txid),
                    balance_sats=balance,
                    kind=nature.kind,
                    fee_sats=nature.fee_sats,
                    label=labels.get(txid),
                    address_labels=nature.address_labels,
                    first_seen=seen.first_seen,
                    confirmations=depth,
                    final=depth >= news.FINAL_CONFIRMATIONS,
                    replaces=replaces.get(txid),
                    news=told.get(txid),
                )
            )
    gone = [each for each in taken_back if each.txid not in changes]
    return History(lines[::-1], gone)


def _labelled_scripts(db: Session, network: str) -> Iterator[tuple[bytes, str]]:
    """Yield what addresses are called, by script; labels of other networks are left out."""
    for address, label in label_book.named(db, "addr").items():
        try:
            yield script_of(address, network), label
        except UsageError:
            continue


def _in_order(
    seen: Iterable[ChainTransaction], pairs: Iterable[tuple[str, str]]
) -> Iterator[ChainTransaction]:
    """Yield transactions block by block, then those that wait; parents before their children."""
    blocks: dict[int, dict[str, ChainTransaction]] = defaultdict(dict)
    for each in sorted(seen, key=lambda each: each.id):
        blocks[WAITING if each.height is None else each.height][each.txid] = each
    parents = defaultdict(list)
    for parent, child in pairs:
        parents[child].append(parent)
    for height in sorted(blocks):
        block = blocks[height]
        within = {txid: [p for p in parents[txid] if p in block] for txid in block}
        for txid in TopologicalSorter(within).static_order():
            yield block[txid]


def _nature(
    seen: ChainTransaction,
    made: totals.Share | None,
    spent: totals.Share | None,
    *,
    bumped: bool,
    called: Mapping[bytes, str],
) -> _Nature:
    """Return what a transaction was; one that only pays us is read where addresses have names."""
    if spent is None and not called:
        return _Nature(RECEIVED, None, ())
    read = parse_transaction(seen.raw)
    found = (called.get(output.script_pubkey) for output in read.outputs)
    names = tuple(dict.fromkeys(name for name in found if name))
    if spent is None:
        return _Nature(RECEIVED, None, names)
    paid = sum(output.value_sats for output in read.outputs)
    fee_sats = spent.sats - paid if spent.coins == len(read.inputs) else None
    all_ours = made is not None and made.coins == len(read.outputs)
    return _Nature(BUMPED if bumped else MOVED if all_ours else SENT, fee_sats, names)
