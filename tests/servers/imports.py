"""What the wallet answers about its descriptors, and about looking for their history."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psbt.errors import PolicyError
from psbt.policy import checksum
from tests.servers.rpc import INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, MISC_ERROR, RpcError
from tests.servers.shapes import Json
from tests.servers.view import View
from tests.servers.wallet import CHANGE, Scan, Wallet, Watched, keychains_of
from tests.servers.wallets import WALLET_ERROR

if TYPE_CHECKING:
    from tests.servers.daemon import Daemon

TIMESTAMP_WINDOW = 2 * 60 * 60
TYPE_ERROR = -3
SCAN_STEPS = 20
NOW = "now"
BUSY = "Wallet is currently rescanning. Abort existing rescan or wait."
PRUNED = (
    "Can't rescan beyond pruned data. Use RPC call getblockchaininfo to determine your pruned"
    " height."
)
IMPORT_PRUNED = (
    "Rescan failed for descriptor with timestamp {}. There was an error reading a block from time"
    " {}, which is after or within {} seconds of key creation, and could contain transactions"
    " pertaining to the desc. As a result, transactions and coins using this desc may not appear"
    " in the wallet. This error could be caused by pruning or data corruption (see bitcoind log"
    " for details) and could be dealt with by downloading and rescanning the relevant blocks (see"
    " -reindex option and rescanblockchain RPC)."
)


def importdescriptors(daemon: "Daemon", wallet: Wallet, requests: list[Json]) -> list[Json]:
    if wallet.scan:
        raise RpcError(WALLET_ERROR, BUSY)
    view = daemon.view()
    now = view.ledger.median_time(view.height)
    moments = [_timestamp(request, now) for request in requests]
    pairs = list(zip(requests, moments, strict=True))
    answers = [_imported(daemon, wallet, request, moment) for request, moment in pairs]
    if any(answer["success"] for answer in answers):
        start = first_block(view, min(moments) - TIMESTAMP_WINDOW)
        if not scan(daemon, wallet, start, view.height):
            raise RpcError(MISC_ERROR, "Rescan aborted by user.")
        if start < daemon.pruned_below:
            failed = view.block_at(daemon.pruned_below - 1).header.time
            told = zip(answers, moments, strict=True)
            answers = [_pruned(answer, moment, failed) for answer, moment in told]
    wallet.save()
    return answers


def listdescriptors(daemon: "Daemon", wallet: Wallet) -> Json:  # noqa: ARG001 -- every call is for a daemon
    listed = [
        {
            "desc": item.text,
            "timestamp": item.timestamp,
            "active": item.active,
            "internal": item.internal,
            "range": [0, item.end - 1],
            "next": item.next_index,
            "next_index": item.next_index,
        }
        for item in wallet.watched
    ]
    return {"wallet_name": wallet.name, "descriptors": listed}


def getdescriptorinfo(daemon: "Daemon", descriptor: str) -> Json:  # noqa: ARG001 -- every call is for a daemon
    body, mark, given = descriptor.partition("#")
    if mark:
        _check_sum(body, given)
    try:
        normal, keychains = keychains_of(body)
    except PolicyError as failure:
        raise RpcError(INVALID_ADDRESS_OR_KEY, str(failure)) from failure
    expansion = [Watched(normal, n, n == CHANGE, True, 1, 0).text for n in keychains]
    return {
        "descriptor": expansion[0],
        "multipath_expansion": expansion,
        "checksum": checksum(body),
        "isrange": True,
        "issolvable": True,
        "hasprivatekeys": False,
    }


def getwalletinfo(daemon: "Daemon", wallet: Wallet) -> Json:
    going = wallet.scan
    waiting = {item.internal: item.end - item.next_index for item in wallet.watched}
    height = daemon.view().ledger.height(wallet.tip)
    return {
        "walletname": wallet.name,
        "walletversion": 169900,
        "format": "sqlite",
        "txcount": len(wallet.known),
        "keypoolsize": waiting.get(False, 0),
        "keypoolsize_hd_internal": waiting.get(True, 0),
        "private_keys_enabled": False,
        "avoid_reuse": False,
        "scanning": {"duration": int(going.duration), "progress": going.progress}
        if going
        else False,
        "descriptors": True,
        "external_signer": False,
        "blank": True,
        "birthtime": min((item.timestamp for item in wallet.watched), default=1),
        "flags": [
            "last_hardened_xpub_cached",
            "disable_private_keys",
            "blank",
            "descriptor_wallet",
        ],
        "lastprocessedblock": {"hash": wallet.tip, "height": height},
    }


def rescanblockchain(
    daemon: "Daemon", wallet: Wallet, start_height: int = 0, stop_height: int | None = None
) -> Json:
    height = daemon.view().height
    stop = height if stop_height is None else stop_height
    if wallet.scan:
        raise RpcError(WALLET_ERROR, BUSY)
    if not 0 <= start_height <= height:
        raise RpcError(INVALID_PARAMETER, "Invalid start_height")
    if not 0 <= stop <= height:
        raise RpcError(INVALID_PARAMETER, "Invalid stop_height")
    if stop < start_height:
        raise RpcError(INVALID_PARAMETER, "stop_height must be greater than start_height")
    if start_height < daemon.pruned_below:
        raise RpcError(MISC_ERROR, PRUNED)
    if not scan(daemon, wallet, start_height, stop):
        raise RpcError(MISC_ERROR, "Rescan aborted.")
    wallet.save()
    return {"start_height": start_height, "stop_height": stop}


def abortrescan(daemon: "Daemon", wallet: Wallet) -> bool:  # noqa: ARG001 -- every call is for a daemon
    if wallet.scan is None:
        return False
    wallet.scan.aborted = True
    return True


def first_block(view: View, moment: int) -> int:
    """Return the first height at which any block so far is as late as a moment."""
    times = ((height, view.ledger.time(height)) for height in range(view.height + 1))
    return next((height for height, time in times if time >= moment), view.height + 1)


def scan(daemon: "Daemon", wallet: Wallet, start: int, stop: int) -> bool:
    """Look for the wallet's transactions in blocks; tells whether it came to the end."""
    with _scanning(wallet, daemon.scan_seconds) as going:
        for _ in range(SCAN_STEPS if daemon.scan_seconds else 0):
            daemon.pause(daemon.scan_seconds / SCAN_STEPS)
            if going.aborted:
                return False
        view = daemon.view()
        for height in range(max(start, daemon.pruned_below, 1), min(stop, view.height) + 1):
            wallet.read(view.block_at(height), daemon.keypool)
    wallet.follow(view, daemon.keypool)
    return True


@contextmanager
def _scanning(wallet: Wallet, seconds: float) -> Iterator[Scan]:
    wallet.scan = Scan(time.monotonic(), seconds)
    try:
        yield wallet.scan
    finally:
        wallet.scan = None


def _imported(daemon: "Daemon", wallet: Wallet, request: Json, moment: int) -> Json:
    try:
        warnings = _watch(daemon, wallet, request, moment)
    except RpcError as error:
        return {"success": False, "error": {"code": error.code, "message": error.message}}
    return {"success": True} | ({"warnings": warnings} if warnings else {})


def _watch(daemon: "Daemon", wallet: Wallet, request: Json, timestamp: int) -> list[str]:
    body, mark, given = str(request["desc"]).partition("#")
    if not mark:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Missing checksum")
    _check_sum(body, given)
    try:
        descriptor, keychains = keychains_of(body)
    except PolicyError as failure:
        raise RpcError(INVALID_ADDRESS_OR_KEY, str(failure)) from failure
    end = _range_end(request.get("range"), daemon.keypool)
    for keychain in keychains:
        internal = keychain == CHANGE if len(keychains) > 1 else bool(request.get("internal"))
        active = bool(request.get("active"))
        _check_range(wallet, descriptor, keychain, end)
        item = Watched(descriptor, keychain, internal, active, max(timestamp, 1), end)
        wallet.watch(item, daemon.keypool)
    return [] if "range" in request else ["Range not given, using default keypool range"]


def _check_sum(body: str, given: str) -> None:
    try:
        computed = checksum(body)
    except PolicyError as failure:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Invalid characters in payload") from failure
    if given != computed:
        words = f"Provided checksum '{given}' does not match computed checksum '{computed}'"
        raise RpcError(INVALID_ADDRESS_OR_KEY, words)


def _range_end(asked: object, keypool: int) -> int:
    """Return the first index that is out of the range; a range is one number or two."""
    if asked is None:
        return keypool
    low, high = asked if isinstance(asked, list) else (0, asked)
    if low < 0:
        raise RpcError(INVALID_PARAMETER, "Range should be greater or equal than 0")
    if high < low:
        raise RpcError(
            INVALID_PARAMETER, "Range specified as [begin,end] must not have begin after end"
        )
    if high - low >= 1_000_000:
        raise RpcError(INVALID_PARAMETER, "Range is too large")
    return int(high) + 1


def _check_range(wallet: Wallet, descriptor: str, keychain: int, end: int) -> None:
    for item in wallet.watched:
        if (item.descriptor, item.keychain) == (descriptor, keychain) and end < item.end:
            words = f"new range must include current range = [0,{item.end - 1}]"
            raise RpcError(INVALID_PARAMETER, words)


def _timestamp(request: Mapping[str, object], now: int) -> int:
    if "timestamp" not in request:
        raise RpcError(TYPE_ERROR, "Missing required timestamp field for key")
    stated = request["timestamp"]
    return now if stated == NOW else int(str(stated))


def _pruned(answer: Json, moment: int, failed: int) -> Json:
    if not answer["success"] or failed < moment - TIMESTAMP_WINDOW:
        return answer
    words = IMPORT_PRUNED.format(moment, failed, TIMESTAMP_WINDOW)
    return {"success": False, "error": {"code": MISC_ERROR, "message": words}}
