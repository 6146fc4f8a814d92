"""What happened to a vault's money, transaction by transaction, and where that left it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from graphlib import TopologicalSorter
from typing import NamedTuple

from sqlalchemy.orm import Session, sessionmaker

from coordinator.amounts import script_of
from coordinator.errors import UsageError
from coordinator.wallet import news
from coordinator.wallet.coins import confirmations, tip_height
from coordinator.wallet.news import News
from psbt.transaction import Transaction, parse_transaction
from storage import ceremonies as ceremony_book
from storage import chain as chain_book
from storage import labels as label_book
from storage import totals
from storage import vaults as vault_book
from storage.model import ChainTransaction, Vault

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


@dataclass(frozen=True)
class _Around:
    """What is known around a vault's transactions."""

    tip: int
    changes: Mapping[str, int]
    spent: Mapping[str, totals.Share]
    made: Mapping[str, totals.Share]
    ceremonies: Mapping[str, str]
    replaces: Mapping[str, str]
    labels: Mapping[str, str]
    address_labels: Mapping[bytes, str]
    news: Mapping[str, str]


def history(database: sessionmaker[Session], vault: str) -> History:
    """Return what happened to a vault's money."""
    with database.begin() as db:
        record = vault_book.vault_named(db, vault)
        taken_back = news.unsettled(db, record)
        around = _around(db, record, taken_back)
        seen = _in_order(
            chain_book.transactions(db, around.changes), totals.spending_pairs(db, record)
        )
        lines = list(_lines(seen, around))[::-1]
    gone = [each for each in taken_back if each.txid not in around.changes]
    return History(lines, gone)


def _around(db: Session, vault: Vault, taken_back: Iterable[News]) -> _Around:
    made, spent = totals.shares(db, vault)
    total = Counter({txid: share.sats for txid, share in made.items()})
    total.subtract({txid: share.sats for txid, share in spent.items()})
    return _Around(
        tip=tip_height(db, vault),
        changes=dict(total),
        spent=spent,
        made=made,
        ceremonies=ceremony_book.ids_by_txid(db, total, vault),
        replaces=ceremony_book.replacements(db, vault),
        labels=label_book.named(db, "tx"),
        address_labels=dict(_labelled_scripts(db, vault.network)),
        news={each.txid: each.message for each in taken_back},
    )


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


def _lines(seen: Iterable[ChainTransaction], around: _Around) -> Iterator[HistoryLine]:
    balance = 0
    for each in seen:
        balance += around.changes[each.txid]
        yield _line(each, balance, around)


def _line(seen: ChainTransaction, balance_sats: int, around: _Around) -> HistoryLine:
    nature = _nature(seen, around)
    depth = confirmations(seen.height, around.tip)
    return HistoryLine(
        txid=seen.txid,
        change_sats=around.changes[seen.txid],
        height=seen.height,
        time=seen.block_time,
        ceremony=around.ceremonies.get(seen.txid),
        balance_sats=balance_sats,
        kind=nature.kind,
        fee_sats=nature.fee_sats,
        label=around.labels.get(seen.txid),
        address_labels=nature.address_labels,
        first_seen=seen.first_seen,
        confirmations=depth,
        final=depth >= news.FINAL_CONFIRMATIONS,
        replaces=around.replaces.get(seen.txid),
        news=around.news.get(seen.txid),
    )


def _nature(seen: ChainTransaction, around: _Around) -> _Nature:
    """Return what a transaction was; one that only pays us is read where addresses have names."""
    spent = around.spent.get(seen.txid)
    if spent is None and not around.address_labels:
        return _Nature(RECEIVED, None, ())
    read = parse_transaction(seen.raw)
    names = tuple(_names(read, around.address_labels))
    if spent is None:
        return _Nature(RECEIVED, None, names)
    paid = sum(output.value_sats for output in read.outputs)
    fee_sats = spent.sats - paid if spent.coins == len(read.inputs) else None
    made = around.made.get(seen.txid)
    all_ours = made is not None and made.coins == len(read.outputs)
    kind = BUMPED if seen.txid in around.replaces else MOVED if all_ours else SENT
    return _Nature(kind, fee_sats, names)


def _names(read: Transaction, labels: Mapping[bytes, str]) -> Iterator[str]:
    """Yield what the addresses a transaction pays are called, each name once."""
    found = (labels.get(output.script_pubkey) for output in read.outputs)
    yield from dict.fromkeys(name for name in found if name)
