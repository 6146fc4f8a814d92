"""What the node answers about itself and its blocks."""

from typing import TYPE_CHECKING

from coordinator.chain.regtest.blocks import Block
from psbt.transaction import Transaction
from tests.servers.rpc import INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, MISC_ERROR, RpcError
from tests.servers.shapes import DIFFICULTY, Json, header_json, transaction_json

if TYPE_CHECKING:
    from tests.servers.daemon import Daemon

VERSION = 319900
RELAY_FEE = 0.000001
NOT_A_RELEASE = "This is a test server on an embedded chain"
NETWORKS = {"ipv4": True, "ipv6": True, "onion": False, "i2p": False, "cjdns": False}
SERVICES = {"NETWORK": 0, "WITNESS": 3, "NETWORK_LIMITED": 10}


def getnetworkinfo(daemon: "Daemon") -> Json:
    return {
        "version": daemon.version,
        "subversion": "/Satoshi:31.99.0/",
        "protocolversion": 70016,
        "localservices": f"{sum(1 << bit for bit in SERVICES.values()):016x}",
        "localservicesnames": list(SERVICES),
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": True,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [
            {
                "name": name,
                "limited": not reachable,
                "reachable": reachable,
                "proxy": "",
                "proxy_randomize_credentials": False,
            }
            for name, reachable in NETWORKS.items()
        ],
        "relayfee": RELAY_FEE,
        "incrementalfee": RELAY_FEE,
        "localaddresses": [],
        "warnings": [NOT_A_RELEASE],
    }


def getblockchaininfo(daemon: "Daemon") -> Json:
    view = daemon.view()
    header = header_json(view, view.block_at(view.height))
    downloading = daemon.syncing == "downloading"
    told: Json = {
        "chain": daemon.chain_name,
        "blocks": view.height,
        "headers": view.height + (1000 if downloading else 0),
        "bestblockhash": header["hash"],
        "bits": header["bits"],
        "target": header["target"],
        "difficulty": DIFFICULTY,
        "time": header["time"],
        "mediantime": header["mediantime"],
        "verificationprogress": 0.5 if downloading else 1,
        "initialblockdownload": downloading,
        "chainwork": header["chainwork"],
        "size_on_disk": view.size,
        "pruned": bool(daemon.pruned_below),
    }
    if daemon.pruned_below:
        pruning = {"automatic_pruning": True, "prune_target_size": 576716800}
        told |= {"pruneheight": daemon.pruned_below, **pruning}
    return {**told, "warnings": [NOT_A_RELEASE]}


def getindexinfo(daemon: "Daemon") -> Json:
    state = {"synced": True, "best_block_height": daemon.view().height}
    return {"txindex": state} if daemon.has_index else {}


def getblockcount(daemon: "Daemon") -> int:
    return daemon.view().height


def getbestblockhash(daemon: "Daemon") -> str:
    return daemon.view().ledger.tip.hash


def getblockhash(daemon: "Daemon", height: int) -> str:
    view = daemon.view()
    if not 0 <= height <= view.height:
        raise RpcError(INVALID_PARAMETER, "Block height out of range")
    return view.ledger.hashes[height]


def getblockheader(daemon: "Daemon", blockhash: str, verbose: bool = True) -> str | Json:  # noqa: FBT001, FBT002 -- Core's own
    block = known_block(daemon, blockhash)
    return header_json(daemon.view(), block) if verbose else block.header.raw.hex()


def getblock(daemon: "Daemon", blockhash: str, verbosity: int = 1) -> str | Json:
    block = known_block(daemon, blockhash)
    view = daemon.view()
    if (view.ledger.height(blockhash) or 0) < daemon.pruned_below:
        raise RpcError(MISC_ERROR, "Block not available (pruned data)")
    if not verbosity:
        return block.raw.hex()
    shape = _named if verbosity == 1 else transaction_json
    size = len(block.raw)
    return {
        **header_json(view, block),
        "strippedsize": (block.weight - size) // 3,
        "size": size,
        "weight": block.weight,
        "tx": [shape(transaction) for transaction in block.transactions],
    }


def known_block(daemon: "Daemon", block_hash: str) -> Block:
    """Return a block of any keychain."""
    block = daemon.view().block(block_hash)
    if block is None:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Block not found")
    return block


def _named(transaction: Transaction) -> str:
    return transaction.txid
