"""What the node answers about transactions: those that wait, and those it is sent."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from coordinator.chain import Package
from coordinator.chain.regtest.policy import Waiting, package, with_descendants
from coordinator.errors import TransactionRejected
from psbt.coins import Outpoint
from psbt.errors import PsbtError
from psbt.transaction import Transaction, parse_transaction
from tests.servers.rpc import INVALID_ADDRESS_OR_KEY, RpcError
from tests.servers.shapes import COIN, Json, btc, script_json, transaction_json
from tests.servers.view import View

if TYPE_CHECKING:
    from tests.servers.daemon import Daemon

TRANSACTION_ERROR = -25
REJECTED = -26
ALREADY_CONFIRMED = -27
NOT_DECODED = -22
MISSING = "bad-txns-inputs-missingorspent"
OVERPAID = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
DEFAULT_MAX_FEERATE = 0.1
RELAY_FEE = 0.000001
NOT_INDEXED = (
    "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain"
    " transaction queries. Use gettransaction for wallet transactions."
)
NOT_FOUND = "No such mempool or blockchain transaction. Use gettransaction for wallet transactions."


def getrawmempool(daemon: "Daemon", verbose: bool = False) -> list[str] | Json:  # noqa: FBT001, FBT002 -- Core's own
    view = daemon.view()
    if not verbose:
        return list(view.waiting)
    return {txid: _entry(daemon, view, txid) for txid in view.waiting}


def getmempoolinfo(daemon: "Daemon") -> Json:
    waiting = daemon.view().waiting.values()
    return {
        "loaded": True,
        "size": len(waiting),
        "bytes": sum(item.transaction.vsize for item in waiting),
        "usage": 64 + sum(len(item.transaction.raw) for item in waiting),
        "total_fee": btc(sum(item.fee_sats for item in waiting)),
        "maxmempool": 300000000,
        "mempoolminfee": daemon.mempool_min_sats_per_kvb / COIN,
        "minrelaytxfee": RELAY_FEE,
        "incrementalrelayfee": RELAY_FEE,
        "unbroadcastcount": 0,
        "permitbaremultisig": True,
        "maxdatacarriersize": 100000,
        "limitclustercount": 64,
        "limitclustersize": 101000,
        "optimal": True,
    }


def getmempoolentry(daemon: "Daemon", txid: str) -> Json:
    view = daemon.view()
    if txid not in view.waiting:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
    return _entry(daemon, view, txid)


def getrawtransaction(
    daemon: "Daemon", txid: str, verbosity: int = 0, blockhash: str | None = None
) -> str | Json:
    view = daemon.view()
    waits = txid in view.waiting
    found = view.transaction(txid) if waits or blockhash or daemon.has_index else None
    if found is None:
        raise RpcError(INVALID_ADDRESS_OR_KEY, NOT_FOUND if daemon.has_index else NOT_INDEXED)
    found = daemon.told(found)
    if not verbosity:
        return found.raw.hex()
    told = {**transaction_json(found), "hex": found.raw.hex()}
    place = view.place(txid)
    if place and not waits:
        told |= {"blockhash": place.block_hash, "time": place.time, "blocktime": place.time}
        told["confirmations"] = view.confirmations(place.height)
    return told


def gettxout(daemon: "Daemon", txid: str, n: int, include_mempool: bool = True) -> Json | None:  # noqa: FBT001, FBT002 -- Core's own
    view = daemon.view()
    coin = view.coin(Outpoint(txid, n), with_waiting=include_mempool)
    if coin is None:
        return None
    waits = txid in view.waiting
    return {
        "bestblock": view.ledger.tip.hash,
        "confirmations": 0 if waits else view.confirmations(coin.height),
        "value": btc(coin.value_sats),
        "scriptPubKey": script_json(coin.script_pubkey),
        "coinbase": coin.coinbase,
    }


def estimatesmartfee(daemon: "Daemon", conf_target: int, estimate_mode: str = "economical") -> Json:  # noqa: ARG001 -- Core's own
    if daemon.feerate_sats_per_kvb is None:
        return {"errors": ["Insufficient data or no feerate found"], "blocks": 0}
    return {"feerate": btc(daemon.feerate_sats_per_kvb), "blocks": max(conf_target, 2)}


def would_accept(
    daemon: "Daemon", rawtxs: list[str], maxfeerate: float = DEFAULT_MAX_FEERATE
) -> list[Json]:
    return [_judged(daemon.view(), decoded(raw), maxfeerate) for raw in rawtxs]


def sendrawtransaction(
    daemon: "Daemon", hexstring: str, maxfeerate: float = DEFAULT_MAX_FEERATE
) -> str:
    transaction, view = decoded(hexstring), daemon.view()
    made = [Outpoint(transaction.txid, vout) for vout in range(len(transaction.outputs))]
    if any(outpoint in view.ledger.coins for outpoint in made):
        raise RpcError(ALREADY_CONFIRMED, "Transaction outputs already in utxo set")
    if transaction.txid in view.waiting:
        return transaction.txid
    try:
        fee_sats = _fee_sats(view, transaction)
    except TransactionRejected as rejection:
        code = TRANSACTION_ERROR if rejection.reason == MISSING else REJECTED
        raise RpcError(code, rejection.reason) from rejection
    if _overpays(fee_sats, transaction, maxfeerate):
        raise RpcError(TRANSACTION_ERROR, OVERPAID)
    return daemon.take(transaction)


def decoded(raw: str) -> Transaction:
    """Read a transaction in hexadecimal."""
    try:
        return parse_transaction(bytes.fromhex(raw))
    except (PsbtError, ValueError) as failure:
        words = "TX decode failed. Make sure the tx has at least one input."
        raise RpcError(NOT_DECODED, words) from failure


def _judged(view: View, transaction: Transaction, maxfeerate: float) -> Json:
    told: Json = {"txid": transaction.txid, "wtxid": transaction.wtxid, "allowed": False}
    if transaction.txid in view.waiting:
        return {**told, "reject-reason": "txn-already-in-mempool"}
    if transaction.txid in view.ledger.confirmed:
        return {**told, "reject-reason": "txn-already-known"}
    try:
        fee_sats = _fee_sats(view, transaction)
    except TransactionRejected as rejection:
        reason = "missing-inputs" if rejection.reason == MISSING else rejection.reason
        details = {} if reason == "missing-inputs" else {"reject-details": rejection.reason}
        return {**told, "reject-reason": reason, **details}
    if _overpays(fee_sats, transaction, maxfeerate):
        return {**told, "reject-reason": "max-fee-exceeded"}
    fees = {
        "base": btc(fee_sats),
        "effective-feerate": btc(fee_sats * 1000 // transaction.vsize),
        "effective-includes": [transaction.wtxid],
    }
    return {**told, "allowed": True, "vsize": transaction.vsize, "fees": fees}


def _fee_sats(view: View, transaction: Transaction) -> int:
    """Return what a transaction would pay; raises TransactionRejected where it may not wait."""
    return view.pool.admit(transaction).waiting[transaction.txid].fee_sats


def _overpays(fee_sats: int, transaction: Transaction, maxfeerate: float) -> bool:
    return 0 < maxfeerate * COIN * transaction.vsize < fee_sats * 1000


def _entry(daemon: "Daemon", view: View, txid: str) -> Json:
    pool, item = view.waiting, view.waiting[txid]
    family = with_descendants({txid: item}, pool)
    above, below = package(txid, pool), _weighed(family.values())
    children = [child for child, other in pool.items() if txid in parents(other.transaction, pool)]
    fee = btc(item.fee_sats)
    return {
        "vsize": item.transaction.vsize,
        "weight": item.transaction.weight,
        "time": daemon.first_seen(txid),
        "height": view.height,
        "descendantcount": len(family),
        "descendantsize": below.vsize,
        "ancestorcount": len(ancestors(txid, pool)),
        "ancestorsize": above.vsize,
        "wtxid": item.transaction.wtxid,
        "chunkweight": item.transaction.weight,
        "fees": {
            "base": fee,
            "modified": fee,
            "ancestor": btc(above.fee_sats),
            "descendant": btc(below.fee_sats),
            "chunk": fee,
        },
        "depends": sorted(parents(item.transaction, pool)),
        "spentby": children,
        "unbroadcast": True,
    }


def parents(transaction: Transaction, pool: Mapping[str, Waiting]) -> set[str]:
    """Return the waiting transactions that one spends from."""
    return {item.outpoint.txid for item in transaction.inputs} & pool.keys()


def ancestors(txid: str, pool: Mapping[str, Waiting]) -> set[str]:
    """Return a waiting transaction and all it descends from."""
    direct = parents(pool[txid].transaction, pool)
    return {txid}.union(*(ancestors(parent, pool) for parent in direct))


def _weighed(family: Iterable[Waiting]) -> Package:
    items = list(family)
    vsize = sum(item.transaction.vsize for item in items)
    return Package(vsize, sum(item.fee_sats for item in items))
