"""Between BDK's values and ours."""

import json
import re

import bdkpython as bdk

from coordinator.chain import SeenTransaction
from psbt.transaction import double_sha256

KNOWN = (
    "already in block chain",
    "already in utxo set",
    "txn-already-known",
    "txn-already-in-mempool",
    "txn-same-nonwitness-data-in-mempool",
    "transaction already in mempool",
)
MESSAGE = re.compile(r"\{.*\}", re.DOTALL)


def header_hash(header: bdk.Header) -> str:
    """Return a block's hash as display hex."""
    raw = (
        (header.version & 0xFFFFFFFF).to_bytes(4, "little")
        + bytes.fromhex(str(header.prev_blockhash))[::-1]
        + bytes.fromhex(str(header.merkle_root))[::-1]
        + b"".join(n.to_bytes(4, "little") for n in (header.time, header.bits, header.nonce))
    )
    return double_sha256(raw)[::-1].hex()


def seen(found: bdk.CanonicalTx) -> SeenTransaction:
    """Return a transaction as the hall knows it."""
    txid, raw = str(found.transaction.compute_txid()), found.transaction.serialize()
    position = found.chain_position
    if not isinstance(position, bdk.ChainPosition.CONFIRMED):
        return SeenTransaction(txid, raw)
    block = position.confirmation_block_time
    return SeenTransaction(
        txid, raw, block.block_id.height, str(block.block_id.hash), block.confirmation_time
    )


def rejection(text: str) -> str:
    """Return a node's own words out of what a server wrapped around them."""
    inner = MESSAGE.search(text)
    try:
        found = json.loads(inner[0]) if inner else text
    except ValueError:
        found = text
    message = found.get("message") if isinstance(found, dict) else found
    return " ".join(str(message or text).split())


def is_known(reason: str) -> bool:
    """Tell whether a refusal says that the transaction is there already."""
    return any(words in reason.lower() for words in KNOWN)
