"""Esplora's REST interface: what a client asks to follow a wallet."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from coordinator.chain.regtest.blocks import merkle_root
from psbt.address import parse_address
from psbt.coins import Outpoint
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from tests.servers.index import script_hash
from tests.servers.node import getblockhash, known_block
from tests.servers.pool import sendrawtransaction
from tests.servers.rpc import RpcError
from tests.servers.shapes import Json, address_of, assembly, header_json, type_of
from tests.servers.view import View
from tests.servers.wire import Answer, Request

if TYPE_CHECKING:
    from tests.servers.daemon import Daemon

PREFIX = "/esplora"
PAGE = 25
WAITING_PAGE = 50
BLOCKS_PAGE = 10
TARGETS = (*range(1, 26), 144, 504, 1008)


class NotFound(Exception):
    """What was asked for is not there."""


def answer(daemon: "Daemon", request: Request) -> Answer:
    """Answer a request under the prefix."""
    path = request.path.removeprefix(PREFIX)
    try:
        if request.method == "POST":
            return _text(sendrawtransaction(daemon, request.body.decode().strip()))
        for pattern, page in PAGES.items():
            if found := re.fullmatch(pattern, path):
                return _as_answer(page(daemon, *found.groups()))
    except RpcError as error:
        refused = json.dumps({"code": error.code, "message": error.message})
        status = HTTPStatus.BAD_REQUEST if request.method == "POST" else HTTPStatus.NOT_FOUND
        return Answer(status, f"sendrawtransaction RPC error: {refused}".encode())
    except NotFound as failure:
        return Answer(HTTPStatus.NOT_FOUND, str(failure).encode())
    return Answer(HTTPStatus.NOT_FOUND, b"endpoint does not exist")


def _as_answer(found: object) -> Answer:
    if isinstance(found, bytes):
        return Answer(HTTPStatus.OK, found, "application/octet-stream")
    if isinstance(found, str):
        return _text(found)
    return Answer(HTTPStatus.OK, json.dumps(found).encode(), "application/json")


def _text(text: str) -> Answer:
    return Answer(HTTPStatus.OK, text.encode())


def tip_height(daemon: "Daemon") -> str:
    return str(daemon.view().height)


def tip_hash(daemon: "Daemon") -> str:
    return daemon.view().ledger.tip.hash


def hash_at(daemon: "Daemon", height: str) -> str:
    return getblockhash(daemon, int(height))


def block_header(daemon: "Daemon", block_hash: str) -> str:
    return known_block(daemon, block_hash).header.raw.hex()


def block_raw(daemon: "Daemon", block_hash: str) -> bytes:
    return known_block(daemon, block_hash).raw


def block_status(daemon: "Daemon", block_hash: str) -> Json:
    view = daemon.view()
    block = known_block(daemon, block_hash)
    if not view.ledger.on_chain(block.hash):
        return {"in_best_chain": False}
    header = header_json(view, block)
    return {
        "in_best_chain": True,
        "height": header["height"],
        "next_best": header.get("nextblockhash"),
    }


def txid_in_block(daemon: "Daemon", block_hash: str, index: str) -> str:
    transactions = known_block(daemon, block_hash).transactions
    if int(index) >= len(transactions):
        raise NotFound("tx not found")
    return transactions[int(index)].txid


def blocks(daemon: "Daemon", height: str | None = None) -> list[Json]:
    """Return ten blocks, newest first, down from a height or from the tip."""
    view = daemon.view()
    top = min(int(height), view.height) if height else view.height
    return [_summary(view, number) for number in range(top, max(-1, top - BLOCKS_PAGE), -1)]


def script_history(daemon: "Daemon", asked: str, last: str | None = None) -> list[Json]:
    """Return a page: what waits and the newest confirmed, or what is older than the last seen."""
    view = daemon.view()
    newest_first = daemon.index(view).history(asked)[::-1]
    if last is None:
        waiting = [txid for txid in view.waiting if _touches(view, txid, asked)]
        page = [*waiting[::-1][:WAITING_PAGE], *newest_first[:PAGE]]
    else:
        start = newest_first.index(last) + 1 if last in newest_first else len(newest_first)
        page = newest_first[start : start + PAGE]
    return [_transaction_json(daemon, view, txid) for txid in page]


def address_history(daemon: "Daemon", address: str, last: str | None = None) -> list[Json]:
    """Return such a page of an address."""
    try:
        script = parse_address(address, Network.REGTEST)
    except PolicyError as failure:
        raise NotFound from failure
    return script_history(daemon, script_hash(script), last)


def transaction_info(daemon: "Daemon", txid: str) -> Json:
    return _transaction_json(daemon, daemon.view(), txid)


def transaction_raw(daemon: "Daemon", txid: str) -> bytes:
    return daemon.told(_known(daemon.view(), txid)).raw


def transaction_hex(daemon: "Daemon", txid: str) -> str:
    return transaction_raw(daemon, txid).hex()


def transaction_status(daemon: "Daemon", txid: str) -> Json:
    view = daemon.view()
    _known(view, txid)
    return _status(view, txid)


def merkle_proof(daemon: "Daemon", txid: str) -> Json:
    view = daemon.view()
    place = view.place(txid)
    if place is None:
        raise NotFound("Transaction not found or is unconfirmed")
    ids = [transaction.txid for transaction in view.block_at(place.height).transactions]
    return {
        "block_height": place.height,
        "merkle": merkle_branch(ids, place.index),
        "pos": place.index,
    }


def outspend(daemon: "Daemon", txid: str, vout: str) -> Json:
    view = daemon.view()
    _known(view, txid)
    return _outspend(daemon, view, Outpoint(txid, int(vout)))


def outspends(daemon: "Daemon", txid: str) -> list[Json]:
    view = daemon.view()
    count = len(_known(view, txid).outputs)
    return [_outspend(daemon, view, Outpoint(txid, vout)) for vout in range(count)]


def fee_estimates(daemon: "Daemon") -> Json:
    if daemon.feerate_sats_per_kvb is None:
        return {}
    return {str(target): daemon.feerate_sats_per_kvb / 1000 for target in TARGETS}


HASH = "([0-9a-f]{64})"
PAGES: dict[str, Callable[..., object]] = {
    "/blocks/tip/height": tip_height,
    "/blocks/tip/hash": tip_hash,
    r"/block-height/(\d+)": hash_at,
    f"/block/{HASH}/header": block_header,
    f"/block/{HASH}/raw": block_raw,
    f"/block/{HASH}/status": block_status,
    rf"/block/{HASH}/txid/(\d+)": txid_in_block,
    r"/blocks(?:/(\d+))?": blocks,
    f"/scripthash/{HASH}/txs(?:/chain/{HASH})?": script_history,
    f"/address/([0-9a-zA-Z]+)/txs(?:/chain/{HASH})?": address_history,
    f"/tx/{HASH}": transaction_info,
    f"/tx/{HASH}/raw": transaction_raw,
    f"/tx/{HASH}/hex": transaction_hex,
    f"/tx/{HASH}/status": transaction_status,
    f"/tx/{HASH}/merkle-proof": merkle_proof,
    rf"/tx/{HASH}/outspend/(\d+)": outspend,
    f"/tx/{HASH}/outspends": outspends,
    "/fee-estimates": fee_estimates,
}


def merkle_branch(ids: list[str], index: int) -> list[str]:
    """Return the hashes that lead from a transaction to the root, as display hex."""
    branch: list[str] = []
    level = ids
    while len(level) > 1:
        level = [*level, level[-1]] if len(level) % 2 else level
        branch.append(level[index ^ 1])
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [merkle_root(pair)[::-1].hex() for pair in pairs]
        index //= 2
    return branch


def _known(view: View, txid: str) -> Transaction:
    found = view.transaction(txid)
    if found is None:
        raise NotFound("Transaction not found")
    return found


def _touches(view: View, txid: str, asked: str) -> bool:
    transaction = view.waiting[txid].transaction
    spent = [view.output(item.outpoint) for item in transaction.inputs]
    outputs = [*transaction.outputs, *(output for output in spent if output)]
    return asked in {script_hash(output.script_pubkey) for output in outputs}


def _transaction_json(daemon: "Daemon", view: View, txid: str) -> Json:
    transaction = daemon.told(_known(view, txid))
    spent = [view.output(item.outpoint) for item in transaction.inputs]
    paid = sum(output.value_sats for output in transaction.outputs)
    brought = sum(output.value_sats for output in spent if output)
    return {
        "txid": txid,
        "version": transaction.version,
        "locktime": transaction.locktime,
        "vin": [_input_json(*pair) for pair in zip(transaction.inputs, spent, strict=True)],
        "vout": [_output_json(output) for output in transaction.outputs],
        "size": len(transaction.raw),
        "weight": transaction.weight,
        "fee": 0 if transaction.is_coinbase else max(0, brought - paid),
        "status": _status(view, txid),
    }


def _input_json(item: TransactionInput, spent: TransactionOutput | None) -> Json:
    return {
        "txid": item.outpoint.txid,
        "vout": item.outpoint.vout,
        "prevout": _output_json(spent) if spent else None,
        "scriptsig": item.script_sig.hex(),
        "scriptsig_asm": item.script_sig.hex(),
        "witness": [element.hex() for element in item.witness],
        "is_coinbase": spent is None,
        "sequence": item.sequence,
    }


def _output_json(output: TransactionOutput) -> Json:
    script = output.script_pubkey
    told: Json = {
        "scriptpubkey": script.hex(),
        "scriptpubkey_asm": assembly(script),
        "scriptpubkey_type": type_of(script),
    }
    if address := address_of(script):
        told["scriptpubkey_address"] = address
    return {**told, "value": output.value_sats}


def _status(view: View, txid: str) -> Json:
    place = view.place(txid)
    if place is None:
        return {"confirmed": False}
    return {
        "confirmed": True,
        "block_height": place.height,
        "block_hash": place.block_hash,
        "block_time": place.time,
    }


def _outspend(daemon: "Daemon", view: View, outpoint: Outpoint) -> Json:
    spender = daemon.index(view).spender(outpoint) or _waiting_spender(view, outpoint)
    if spender is None:
        return {"spent": False}
    txid, vin = spender
    return {"spent": True, "txid": txid, "vin": vin, "status": _status(view, txid)}


def _waiting_spender(view: View, outpoint: Outpoint) -> tuple[str, int] | None:
    for txid, item in view.waiting.items():
        for vin, source in enumerate(item.transaction.inputs):
            if source.outpoint == outpoint:
                return txid, vin
    return None


def _summary(view: View, height: int) -> Json:
    block = view.block_at(height)
    header = header_json(view, block)
    return {
        "id": block.hash,
        "height": height,
        "version": block.header.version,
        "timestamp": block.header.time,
        "mediantime": header["mediantime"],
        "bits": block.header.bits,
        "nonce": block.header.nonce,
        "difficulty": header["difficulty"],
        "merkle_root": header["merkleroot"],
        "tx_count": len(block.transactions),
        "size": len(block.raw),
        "weight": block.weight,
        "previousblockhash": header.get("previousblockhash"),
    }
