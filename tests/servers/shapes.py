"""Blocks, transactions and scripts as Bitcoin Core writes them in JSON."""

from functools import lru_cache

from coordinator.chain.regtest.blocks import EASIEST_TARGET, Block
from psbt.address import format_address, script_type
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import checksum
from psbt.transaction import Transaction, TransactionInput
from tests.servers.view import View

COIN = 100_000_000
DIFFICULTY = 4.656542373906925e-10
WORK_PER_BLOCK = 2
OP_RETURN = b"\x6a"
TYPES = {
    "p2wsh": "witness_v0_scripthash",
    "p2wpkh": "witness_v0_keyhash",
    "p2tr": "witness_v1_taproot",
    "p2sh": "scripthash",
    "p2pkh": "pubkeyhash",
    "witness": "witness_unknown",
}

Json = dict[str, object]


def btc(sats: int) -> float:
    """Write satoshis as Core does: a decimal fraction of a coin."""
    return sats / COIN


def header_json(view: View, block: Block) -> Json:
    """Describe a block's header."""
    height = view.ledger.height(block.hash) or 0
    followed = view.ledger.on_chain(block.hash)
    told: Json = {
        "hash": block.hash,
        "confirmations": view.confirmations(height) if followed else -1,
        "height": height,
        "version": block.header.version,
        "versionHex": f"{block.header.version:08x}",
        "merkleroot": block.header.merkle_root[::-1].hex(),
        "time": block.header.time,
        "mediantime": view.ledger.branch(block.hash).median_time(height)
        if not followed
        else view.ledger.median_time(height),
        "nonce": block.header.nonce,
        "bits": f"{block.header.bits:08x}",
        "target": f"{EASIEST_TARGET:064x}",
        "difficulty": DIFFICULTY,
        "chainwork": f"{WORK_PER_BLOCK * (height + 1):064x}",
        "nTx": len(block.transactions),
    }
    if height:
        told["previousblockhash"] = block.header.previous
    if followed and height < view.height:
        told["nextblockhash"] = view.ledger.hashes[height + 1]
    return told


def transaction_json(transaction: Transaction) -> Json:
    """Describe a transaction."""
    return {
        "txid": transaction.txid,
        "hash": transaction.wtxid,
        "version": transaction.version,
        "size": len(transaction.raw),
        "vsize": transaction.vsize,
        "weight": transaction.weight,
        "locktime": transaction.locktime,
        "vin": [_input_json(transaction, item) for item in transaction.inputs],
        "vout": [
            {
                "value": btc(output.value_sats),
                "n": vout,
                "scriptPubKey": script_json(output.script_pubkey),
            }
            for vout, output in enumerate(transaction.outputs)
        ],
    }


def script_json(script_pubkey: bytes) -> Json:
    """Describe an output script."""
    address = address_of(script_pubkey)
    body = f"addr({address})" if address else f"raw({script_pubkey.hex()})"
    told: Json = {
        "asm": assembly(script_pubkey),
        "desc": f"{body}#{checksum(body)}",
        "hex": script_pubkey.hex(),
    }
    if address:
        told["address"] = address
    return {**told, "type": type_of(script_pubkey)}


@lru_cache(100_000)
def address_of(script_pubkey: bytes) -> str | None:
    """Return the address of a script, where it has one."""
    try:
        return format_address(script_pubkey, Network.REGTEST)
    except PolicyError:
        return None


def type_of(script_pubkey: bytes) -> str:
    """Name a script's type as Core does."""
    if script_pubkey.startswith(OP_RETURN):
        return "nulldata"
    return TYPES.get(script_type(script_pubkey), "nonstandard")


def assembly(script_pubkey: bytes) -> str:
    """Write a witness program in words; of other scripts only the bytes."""
    if script_type(script_pubkey) in {"p2wsh", "p2wpkh", "p2tr"}:
        return f"{int(bool(script_pubkey[0]))} {script_pubkey[2:].hex()}"
    if script_pubkey.startswith(OP_RETURN):
        return f"OP_RETURN {script_pubkey[2:].hex()}"
    return script_pubkey.hex()


def _input_json(transaction: Transaction, item: TransactionInput) -> Json:
    told: Json = {"coinbase": item.script_sig.hex()}
    if not transaction.is_coinbase:
        script = item.script_sig.hex()
        told = {"txid": item.outpoint.txid, "vout": item.outpoint.vout}
        told["scriptSig"] = {"asm": script, "hex": script}
    if item.witness:
        told["txinwitness"] = [element.hex() for element in item.witness]
    return {**told, "sequence": item.sequence}
