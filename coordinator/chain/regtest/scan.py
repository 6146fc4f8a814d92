"""What happened to watched scripts: the part of the chain a vault wants to see."""

from collections.abc import Iterable, Iterator

from coordinator.chain import ChainUpdate, Scanned, SeenTransaction, Tip, Watch
from coordinator.chain.regtest.ledger import Ledger
from psbt.coins import Outpoint
from psbt.transaction import Transaction


def scan(ledger: Ledger, waiting: Iterable[Transaction], watch: Watch) -> ChainUpdate:
    """Return the transactions that pay to or spend from the watched scripts."""
    since = watch.since or Tip(0, ledger.hashes[0])
    known = ledger.fork_height(since.hash)
    reorganised = None if ledger.on_chain(since.hash) else known
    seen = tuple(_touching(ledger, waiting, watch))
    anew = watch.since is None or watch.widened or watch.rescan is not None
    told_up_to = 0 if anew else known
    news = tuple(found for found in seen if found.height is None or found.height > told_up_to)
    scanned = Scanned(0) if anew else None
    return ChainUpdate(ledger.tip, reorganised, news, scanned=scanned)


def _touching(
    ledger: Ledger, waiting: Iterable[Transaction], watch: Watch
) -> Iterator[SeenTransaction]:
    owned: set[Outpoint] = set()
    for height, block in ledger.blocks_above(0):
        for transaction in block.transactions:
            if _touches(transaction, owned, watch):
                txid, raw = transaction.txid, transaction.raw
                yield SeenTransaction(txid, raw, height, block.hash, block.header.time)
    for transaction in waiting:
        if _touches(transaction, owned, watch):
            yield SeenTransaction(transaction.txid, transaction.raw)


def _touches(transaction: Transaction, owned: set[Outpoint], watch: Watch) -> bool:
    """Tell whether a transaction concerns the watch; remembers the coins it makes there."""
    mine = [
        n for n, output in enumerate(transaction.outputs) if output.script_pubkey in watch.scripts
    ]
    owned.update(Outpoint(transaction.txid, vout) for vout in mine)
    return bool(mine) or any(item.outpoint in owned for item in transaction.inputs)
