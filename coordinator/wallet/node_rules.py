"""What the chain source relays: asked of it, kept, and what a payment is held against with it."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from coordinator import clock
from coordinator.chain import ChainSource
from coordinator.errors import ChainUnreachable
from psbt.coins import Outpoint
from psbt.relay import CORE_30, CoinAge, NodeView, RelayRules, WaitingTransaction
from psbt.transaction import parse_transaction
from storage import chain as chain_book
from storage import node_rules as rule_book

MEDIAN_TIME_LAG = 3_600
"""How far the median time of blocks lies behind the clock, in seconds: five or six blocks."""


def learn(db: Session, chain: ChainSource) -> None:
    """Ask the source what it relays, and keep it."""
    told = chain.relay()
    kept = rule_book.Told(
        minimum=told.rules.minimum,
        replacement_step=told.rules.replacement_step,
        datacarrier_size=told.rules.datacarrier_size,
        bare_multisig=told.rules.bare_multisig,
        package_count=told.rules.package_count,
        package_vsize=told.rules.package_vsize,
        median_time=told.median_time,
    )
    rule_book.keep(db, kept, clock.now())


def refresh(database: sessionmaker[Session], chain: ChainSource) -> None:
    """Ask anew before a payment is made; a source that does not answer leaves what it said."""
    with database.begin() as db:
        try:
            learn(db, chain)
        except ChainUnreachable:
            return


def rules(db: Session) -> RelayRules:
    """Return what the source said last that it relays; Core 30's values where it said nothing."""
    kept = rule_book.kept(db)
    if kept is None:
        return CORE_30
    return RelayRules(
        kept.minimum,
        kept.replacement_step,
        kept.datacarrier_size,
        kept.bare_multisig,
        kept.package_count,
        kept.package_vsize,
    )


def view(db: Session, spent: Iterable[Outpoint]) -> NodeView:
    """Return what a payment that spends these coins is held against."""
    coins = list(spent)
    kept = rule_book.kept(db)
    median_time = kept.median_time if kept is not None else None
    if median_time is None:
        median_time = int(clock.now().timestamp()) - MEDIAN_TIME_LAG
    return NodeView(rules(db), median_time, _ages(db, coins), _waiting(db, coins))


def _ages(db: Session, coins: list[Outpoint]) -> dict[Outpoint, CoinAge]:
    """Return when each coin came; its block's own time is a little later than what counts."""
    times = {
        made.txid: _seconds(made.block_time)
        for made in chain_book.transactions(db, {coin.txid for coin in coins})
    }
    ages = {}
    for coin in coins:
        row = chain_book.coin_at(db, *coin)
        if row is not None:
            ages[coin] = CoinAge(row.height, times.get(coin.txid), row.coinbase)
    return ages


def _waiting(db: Session, coins: list[Outpoint]) -> dict[str, WaitingTransaction]:
    """Return what waits before a payment, as far as it is known here."""
    waiting: dict[str, WaitingTransaction] = {}
    ahead = {coin.txid for coin in coins}
    while ahead:
        known = chain_book.transactions(db, ahead)
        ahead = set()
        for found in known:
            if found.height is None:
                parsed = parse_transaction(found.raw)
                parents = frozenset(item.outpoint.txid for item in parsed.inputs)
                waiting[found.txid] = WaitingTransaction(parsed.version, parsed.vsize, parents)
                ahead |= parents - waiting.keys()
    return waiting


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment is not None else None
