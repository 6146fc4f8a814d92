"""What the wallet answers about its transactions and coins."""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from psbt.coins import Outpoint
from psbt.keys import format_path
from psbt.policy import Policy, VaultScript, checksum
from psbt.transaction import TransactionOutput
from tests.servers.rpc import INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, RpcError
from tests.servers.shapes import Json, address_of, btc, transaction_json
from tests.servers.standing import Standing
from tests.servers.wallet import RECEIVE, Wallet

if TYPE_CHECKING:
    from tests.servers.daemon import Daemon

FOREVER = 9_999_999


def listsinceblock(
    daemon: "Daemon",
    wallet: Wallet,
    blockhash: str = "",
    target_confirmations: int = 1,
    include_watchonly: bool = True,  # noqa: ARG001, FBT001, FBT002 -- Core's own
    include_removed: bool = True,  # noqa: FBT001, FBT002 -- Core's own
    include_change: bool = False,  # noqa: FBT001, FBT002 -- Core's own
    label: str | None = None,  # noqa: ARG001 -- Core's own
) -> Json:
    standing = daemon.standing(wallet)
    ledger = standing.view.ledger
    if target_confirmations < 1:
        raise RpcError(INVALID_PARAMETER, "Invalid parameter")
    if blockhash and ledger.height(blockhash) is None:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Block not found")
    fork = ledger.fork_height(blockhash) if blockhash else -1
    newer = standing.view.height - fork + 1
    known = [txid for txid in wallet.known if abs(standing.depth(txid)) < newer or not blockhash]
    removed = _removed(standing, blockhash) if include_removed and blockhash else []
    told: Json = {"transactions": _listed(standing, known, with_change=include_change)}
    if include_removed:
        told["removed"] = _listed(standing, removed, with_change=include_change)
    last = max(0, standing.view.height + 1 - target_confirmations)
    return {**told, "lastblock": ledger.hashes[last]}


def gettransaction(
    daemon: "Daemon",
    wallet: Wallet,
    txid: str,
    include_watchonly: bool = True,  # noqa: ARG001, FBT001, FBT002 -- Core's own
    verbose: bool = False,  # noqa: FBT001, FBT002 -- Core's own
) -> Json:
    if txid not in wallet.known:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Invalid or non-wallet transaction id")
    standing = daemon.standing(wallet)
    money, shown = standing.money(txid), daemon.told(wallet.known[txid])
    net = money.received_sats - money.spent_sats
    told: Json = {"amount": btc(net + (money.fee_sats or 0))}
    if money.fee_sats is not None:
        told["fee"] = btc(-money.fee_sats)
    told |= _circumstances(standing, txid)
    told["details"] = list(_entries(standing, txid, with_change=False))
    told["hex"] = shown.raw.hex()
    if verbose:
        told["decoded"] = transaction_json(shown)
    return {**told, "lastprocessedblock": _processed(standing)}


def listunspent(
    daemon: "Daemon",
    wallet: Wallet,
    minconf: int = 1,
    maxconf: int = FOREVER,
    addresses: list[str] | None = None,
    include_unsafe: bool = True,  # noqa: FBT001, FBT002 -- Core's own
    query_options: Json | None = None,
) -> list[Json]:
    standing = daemon.standing(wallet)
    with_immature = bool((query_options or {}).get("include_immature_coinbase"))
    coins = (_coin(standing, outpoint) for outpoint in _unspent(standing))
    return [
        coin
        for coin in coins
        if minconf <= coin["confirmations"] <= maxconf
        and (not addresses or coin["address"] in addresses)
        and (include_unsafe or coin["safe"])
        and (with_immature or not standing.immature(coin["txid"]))
    ]


def getbalances(daemon: "Daemon", wallet: Wallet) -> Json:
    standing = daemon.standing(wallet)
    sums = dict.fromkeys(("trusted", "untrusted_pending", "immature", "nonmempool"), 0)
    for outpoint in _unspent(standing):
        sums[_kind(standing, outpoint.txid)] += _output(standing, outpoint).value_sats
    mine = {kind: btc(sats) for kind, sats in sums.items()}
    return {"mine": mine, "lastprocessedblock": _processed(standing)}


def _kind(standing: Standing, txid: str) -> str:
    if standing.immature(txid):
        return "immature"
    return "trusted" if standing.trusted(txid) else "untrusted_pending"


def _unspent(standing: Standing) -> list[Outpoint]:
    return [
        outpoint
        for outpoint in standing.wallet.coins
        if standing.alive(outpoint.txid) and not standing.spent(outpoint)
    ]


def _removed(standing: Standing, block_hash: str) -> list[str]:
    """Return the wallet's transactions of the blocks that were replaced."""
    ledger, found = standing.view.ledger, []
    while not ledger.on_chain(block_hash):
        block = standing.view.block(block_hash)
        assert block is not None
        found += [item.txid for item in block.transactions if item.txid in standing.wallet.known]
        block_hash = block.header.previous
    return found


def _listed(standing: Standing, txids: list[str], *, with_change: bool) -> list[Json]:
    return [
        entry | circumstances
        for txid in sorted(txids)
        for circumstances in [_circumstances(standing, txid)]
        for entry in _entries(standing, txid, with_change=with_change)
    ]


def _entries(standing: Standing, txid: str, *, with_change: bool) -> Iterator[Json]:
    """Yield an entry for each output sent, then for each received, as Core lists them."""
    transaction, money = standing.transaction(txid), standing.money(txid)
    told = [
        (vout, output)
        for vout, output in enumerate(transaction.outputs)
        if with_change or not (money.spent_sats and standing.is_change(output))
    ]
    if money.spent_sats:
        for vout, output in told:
            fee = {"fee": btc(-(money.fee_sats or 0)), "abandoned": False}
            yield _entry(standing, output.script_pubkey, "send", -output.value_sats, vout) | fee
    for vout, output in told:
        if standing.is_mine(output):
            script, kind = output.script_pubkey, _category(standing, txid)
            yield _entry(standing, script, kind, output.value_sats, vout) | {"abandoned": False}


def _entry(standing: Standing, script_pubkey: bytes, category: str, sats: int, vout: int) -> Json:
    mine = standing.wallet.scripts.get(script_pubkey)
    address = address_of(script_pubkey)
    told: Json = {"address": address} if address else {}
    if mine and category != "send":
        told["parent_descs"] = [mine.watched.text]
    told |= {"category": category, "amount": btc(sats)}
    if mine and mine.script.keychain == RECEIVE:
        told["label"] = ""
    return {**told, "vout": vout}


def _category(standing: Standing, txid: str) -> str:
    if not standing.transaction(txid).is_coinbase:
        return "receive"
    if standing.depth(txid) < 1:
        return "orphan"
    return "immature" if standing.immature(txid) else "generate"


def _circumstances(standing: Standing, txid: str) -> Json:
    """Tell where a transaction stands, with the keys every listing shares."""
    place, wallet = standing.view.place(txid), standing.wallet
    told: Json = {"confirmations": standing.depth(txid)}
    if wallet.known[txid].is_coinbase:
        told["generated"] = True
    if place:
        told |= {
            "blockhash": place.block_hash,
            "blockheight": place.height,
            "blockindex": place.index,
            "blocktime": place.time,
        }
    else:
        told["trusted"] = standing.trusted(txid)
    received = wallet.received[txid]
    return told | {
        "txid": txid,
        "wtxid": wallet.known[txid].wtxid,
        "walletconflicts": standing.conflicts(txid),
        "mempoolconflicts": standing.waiting_conflicts(txid),
        "time": min(received, place.time) if place else received,
        "timereceived": received,
        "bip125-replaceable": standing.replaceable(txid),
    }


def _coin(standing: Standing, outpoint: Outpoint) -> Json:
    mine, output = standing.wallet.coins[outpoint], _output(standing, outpoint)
    told: Json = {
        "txid": outpoint.txid,
        "vout": outpoint.vout,
        "address": address_of(output.script_pubkey),
    }
    if mine.script.keychain == RECEIVE:
        told["label"] = ""
    return told | {
        "witnessScript": mine.script.witness_script.hex(),
        "scriptPubKey": output.script_pubkey.hex(),
        "amount": btc(output.value_sats),
        "confirmations": standing.depth(outpoint.txid),
        "spendable": True,
        "solvable": True,
        "desc": _solved(mine.watched.policy, mine.script),
        "parent_descs": [mine.watched.text],
        "safe": standing.trusted(outpoint.txid),
    }


@lru_cache(100_000)
def _solved(policy: Policy, script: VaultScript) -> str:
    """Write the descriptor of one script: its public keys, sorted, with their origins."""
    keys = []
    for expression, pubkey in zip(policy.keys, script.pubkeys, strict=True):
        path = format_path((*expression.path, script.keychain, script.index))
        keys.append((pubkey, f"[{expression.fingerprint.hex()}/{path}]{pubkey.hex()}"))
    body = f"wsh(multi({policy.threshold},{','.join(text for _, text in sorted(keys))}))"
    return f"{body}#{checksum(body)}"


def _output(standing: Standing, outpoint: Outpoint) -> TransactionOutput:
    return standing.wallet.known[outpoint.txid].outputs[outpoint.vout]


def _processed(standing: Standing) -> Json:
    height, block_hash = standing.view.ledger.tip
    return {"hash": block_hash, "height": height}
