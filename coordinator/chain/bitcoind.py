"""Bitcoin Core: a watch-only descriptor wallet per vault, asked through its RPC."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from math import ceil
from pathlib import Path
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from coordinator.chain import Birthday, ChainUpdate, Package, SeenTransaction, Tip, Watch
from coordinator.chain.opening import Report
from coordinator.chain.rpc import Node, RpcError, call, calls
from coordinator.chain.url import ChainUrl
from coordinator.errors import (
    ChainError,
    ChainUnreachable,
    NoEstimate,
    SettingsError,
    TransactionRejected,
)
from coordinator.outside_json import HEIGHT_MAX, Field

CHAINS = {"main": "mainnet", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
PORTS = {"mainnet": 8332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
SECONDS = 60
POLL_SECONDS = 0.5
AHEAD = 1_000
"""How many scripts a branch Core looks at beyond the last one used, as its own wallets do."""
LOOKED = 100
WALLET_PREFIX = "cardquorum-"
CHAIN_NAME_MAX = 20
LISTED_MAX = 1_000_000
WALLETS_MAX = 10_000
DESCRIPTORS_MAX = 1_000
INDEX_MAX = 1_000_000
"""Scripts of a branch that are believed to be used: each costs a derivation here."""
REORGANISED_MAX = 10_000
"""How many blocks beside the best chain are followed back before all is asked anew."""
PACKAGE_SIZE_MAX = 100_000_000
TRANSACTION_SIZE_MAX = 4_000_000

NOT_FOUND = -18
INVALID_ADDRESS_OR_KEY = -5
ALREADY_IN_CHAIN = -27
REFUSED = frozenset({-22, -25, -26})
LOADED_ALREADY = frozenset({-35, -4})
KNOWN_ALREADY = frozenset({"txn-already-in-mempool", "txn-already-known"})
LOADED = "already loaded"


P = ParamSpec("P")
T = TypeVar("T")


def understood(
    asking: Callable[Concatenate["CoreChain", P], T],
) -> Callable[Concatenate["CoreChain", P], T]:
    """Name node and field where an answer has another shape or range than Core's."""

    @wraps(asking)
    def asked(chain: "CoreChain", /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return asking(chain, *args, **kwargs)
        except ValueError as failure:
            raise not_from_core(chain.node, failure) from failure

    return asked


def not_from_core(node: Node, failure: ValueError) -> ChainError:
    """Return what is said of an answer that Core would not give; `failure` names the field."""
    return ChainError(f"the answer of {node} is not one of Bitcoin Core's: {failure}")


class CoreChain:
    """A node of one's own. What is scanned already is noted in the folder."""

    def __init__(self, url: ChainUrl, folder: Path, network: str, report: Report) -> None:
        """Keep where the node is; nothing is asked yet."""
        credentials = url.file("cookie") or url.file("passwordfile")
        if credentials is None:
            raise SettingsError(
                f"chain {url.text} names no password: add ?cookie=FILE or ?passwordfile=FILE"
            )
        seconds = url.number("timeout", SECONDS)
        self.node = Node(url.host, url.port or PORTS[network], credentials, seconds)
        self._folder = folder
        self._network = network
        self._report = report

    @understood
    def tip(self) -> Tip:
        """Return the newest block; raises ChainUnreachable while the node is behind."""
        info = self._ask("getblockchaininfo")
        named = info["chain"].text(CHAIN_NAME_MAX)
        blocks, headers = info["blocks"].height(), info["headers"].height()
        chain = CHAINS.get(named, named)
        if chain != self._network:
            raise ChainError(f"{self.node} is on {chain}, this home is for {self._network}")
        behind = headers > blocks or self._network != "regtest"
        if info["initialblockdownload"].flag() and behind:
            raise ChainUnreachable(f"{self.node} is still catching up: block {blocks} of {headers}")
        return Tip(blocks, info["bestblockhash"].hash())

    @understood
    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what the vault's wallet saw since the watch's tip.

        A new wallet is filled first, from the vault's birthday on.
        """
        self.tip()
        wallet = _Wallet(self.node, WALLET_PREFIX + watch.descriptor[-8:])
        reach = self._prepared(wallet, watch)
        since, fork = self._start(watch.since)
        listed = wallet.ask("listsinceblock", since, 1, True, True, True)
        last = listed["lastblock"].hash()
        tip = Tip(self._ask("getblockheader", last)["height"].height(), last)
        entries = [_Listed.read(each) for each in listed["transactions"].items(LISTED_MAX)]
        return ChainUpdate(tip, fork, tuple(self._seen(wallet, entries)), reach)

    @understood
    def feerate(self, blocks: int) -> int:
        """Return Core's estimate in sat/kvB, never below what its mempool takes."""
        if blocks < 1:
            raise ChainError(f"no transaction confirms within {blocks} blocks")
        estimate = self._ask("estimatesmartfee", blocks).member("feerate")
        if estimate is None:
            raise NoEstimate(f"{self.node} has no fee estimate for {blocks} blocks")
        floor = self._ask("getmempoolinfo")
        least = max(floor["mempoolminfee"].feerate(), floor["minrelaytxfee"].feerate())
        return max(estimate.feerate(), least)

    @understood
    def package(self, txid: str) -> Package:
        """Return what a waiting transaction and its waiting ancestors weigh and pay."""
        try:
            entry = self._ask("getmempoolentry", txid)
        except RpcError as failure:
            if failure.rpc_code != INVALID_ADDRESS_OR_KEY:
                raise
            raise ChainError(f"transaction {txid} does not wait for a block") from failure
        size = entry["ancestorsize"].integer(1, PACKAGE_SIZE_MAX)
        return Package(size, ceil(entry["fees"]["ancestor"].bitcoins()))

    @understood
    def broadcast(self, transaction: bytes) -> str:
        """Have the transaction judged, then send it; one already known is no error."""
        self.tip()
        try:
            verdict = self._ask("testmempoolaccept", [transaction.hex()])[0]
        except RpcError as failure:
            raise _rejected(failure) from failure
        txid, reason = verdict["txid"].hash(), verdict.member("reject-reason")
        allowed = verdict.member("allowed")
        if not (allowed and allowed.flag()) and (not reason or reason.text() not in KNOWN_ALREADY):
            told = verdict.member("reject-details") or reason
            raise TransactionRejected(told.text() if told else "no reason is given")
        try:
            return self._ask("sendrawtransaction", transaction.hex()).hash()
        except RpcError as failure:
            if failure.rpc_code == ALREADY_IN_CHAIN:
                return txid
            raise _rejected(failure) from failure

    def close(self) -> None:
        """Do nothing: no connection outlives its call."""

    def _ask(self, method: str, *params: object) -> Field:
        return call(self.node, method, *params)

    def _start(self, since: Tip | None) -> tuple[str, int | None]:
        """Return the block to list from, and up to which height earlier knowledge holds."""
        if since is None:
            return "", None
        try:
            header = self._ask("getblockheader", since.hash)
        except RpcError as failure:
            if failure.rpc_code != INVALID_ADDRESS_OR_KEY:
                raise
            return "", 0
        for height in range(since.height, max(-1, since.height - REORGANISED_MAX), -1):
            if header["height"].height() != height:
                header["height"].refuse(f"{height}, where this block was met")
            if _confirmations(header) >= 0:
                return header["hash"].hash(), None if height == since.height else height
            header = self._ask("getblockheader", header["previousblockhash"].hash())
        return "", 0

    def _seen(self, wallet: "_Wallet", listed: Sequence["_Listed"]) -> Iterator[SeenTransaction]:
        """Yield the transactions listed that are in a block or in the mempool."""
        confirmed = {each.txid: each.place for each in listed if each.confirmations > 0}
        resting = {each.txid for each in listed if each.confirmations == 0}
        waiting = [txid for txid in sorted(resting - confirmed.keys()) if self._waits(txid)]
        txids = [*sorted(confirmed, key=confirmed.__getitem__), *waiting]
        for txid, known in zip(txids, wallet.transactions(txids), strict=True):
            raw = known["hex"].bytes(TRANSACTION_SIZE_MAX)
            if _confirmations(known) > 0:
                height, when = known["blockheight"].height(), known["blocktime"].moment()
                yield SeenTransaction(txid, raw, height, known["blockhash"].hash(), when)
            else:
                yield SeenTransaction(txid, raw)

    def _waits(self, txid: str) -> bool:
        """Tell whether a transaction is in the mempool; a wallet keeps those that fell out."""
        try:
            self._ask("getmempoolentry", txid)
        except RpcError as failure:
            if failure.rpc_code == INVALID_ADDRESS_OR_KEY:
                return False
            raise
        return True

    def _prepared(self, wallet: "_Wallet", watch: Watch) -> tuple[int, int]:
        """Load the vault's wallet, or make and fill it; returns how far it looks by itself."""
        wallet.open()
        self._wait_for_scan(wallet)
        scanned = self._folder / f"{wallet.name}.scanned"
        branches = wallet.branches()
        # Core forgets a scan that was cut off with its node: what is not noted is scanned again.
        if not scanned.exists() or not _covers(branches, watch.reach):
            self._fill(wallet, watch)
            branches = wallet.branches()
            self._folder.mkdir(parents=True, exist_ok=True)
            scanned.write_text(f"{watch.descriptor}\n", encoding="utf-8")
        receive, change = (each.used + LOOKED for each in branches)
        return max(receive, watch.reach[0]), max(change, watch.reach[1])

    def _fill(self, wallet: "_Wallet", watch: Watch) -> None:
        """Import the descriptor; Core answers when it has scanned, so it is asked how far it is."""
        wanted = {
            "desc": watch.descriptor,
            "active": True,
            "range": [0, max(watch.reach) + AHEAD],
            "timestamp": self._since(watch.birthday),
        }
        failures: list[ChainError] = []
        importing = threading.Thread(target=wallet.fill, args=(wanted, failures), daemon=True)
        importing.start()
        while importing.is_alive():
            importing.join(POLL_SECONDS)
            if importing.is_alive():
                self._tell_progress(wallet)
        self._report("")
        if failures:
            raise failures[0]

    def _since(self, birthday: Birthday) -> int:
        """Return the birthday in seconds, as Core wants it."""
        if birthday.moment is not None:
            return int(birthday.moment.timestamp())
        if not birthday.height:
            return 0
        try:
            begun = self._ask("getblockhash", birthday.height).hash()
        except RpcError as failure:
            raise ChainError(
                f"the vault's birthday, block {birthday.height}, is not on the chain yet"
            ) from failure
        return self._ask("getblockheader", begun)["time"].moment()

    def _wait_for_scan(self, wallet: "_Wallet") -> None:
        """Wait until a scan that an earlier run began has ended."""
        while self._tell_progress(wallet):
            threading.Event().wait(POLL_SECONDS)
        self._report("")

    def _tell_progress(self, wallet: "_Wallet") -> bool:
        """Report how far a scan is; False where none is going on."""
        scanning = wallet.ask("getwalletinfo")["scanning"]
        if scanning.value is False:
            return False
        share = scanning["progress"].number(0, 1) * 100
        self._report(f"{self.node} looks through the blocks: {share:.0f} %")
        return True


class _Listed(NamedTuple):
    """An entry of the wallet's list: a transaction, how deep it lies, and where in the chain."""

    txid: str
    confirmations: int
    place: tuple[int, int]

    @classmethod
    def read(cls, entry: Field) -> "_Listed":
        """Read what Core lists; only what is in a block has a place."""
        depth = _confirmations(entry)
        place = (0, 0)
        if depth > 0:
            index = entry["blockindex"].integer(0, HEIGHT_MAX)
            place = entry["blockheight"].height(), index
        return cls(entry["txid"].hash(), depth, place)


class _Branch(NamedTuple):
    """How many scripts of a branch the wallet watches, and after how many none was used."""

    watched: int
    used: int


class _Wallet:
    """A node's watch-only wallet of one vault."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self.name = name

    def ask(self, method: str, *params: object) -> Field:
        return call(self._node, method, *params, wallet=self.name)

    def transactions(self, txids: Sequence[str]) -> Iterator[Field]:
        for answer in calls(
            self._node, [("gettransaction", (txid, True)) for txid in txids], wallet=self.name
        ):
            if isinstance(answer, RpcError):
                raise answer
            yield answer

    def open(self) -> None:
        """Load the wallet where it is not loaded; make it where there is none."""
        loaded = call(self._node, "listwallets").items(WALLETS_MAX)
        if self.name in [each.text() for each in loaded]:
            return
        try:
            call(self._node, "loadwallet", self.name)
        except RpcError as failure:
            if failure.rpc_code in LOADED_ALREADY and LOADED in failure.rpc_message:
                return
            if failure.rpc_code != NOT_FOUND:
                raise
            # No private keys, blank, no passphrase, reuse allowed, descriptors, load on startup.
            call(self._node, "createwallet", self.name, True, True, "", False, True, True)

    def branches(self) -> list[_Branch]:
        """Return how far each branch of the descriptor is watched; none where it is not there."""
        listed = self.ask("listdescriptors")["descriptors"].items(DESCRIPTORS_MAX)
        active = {_is(each, "internal"): each for each in listed if _is(each, "active")}
        return [
            _Branch(each["range"][1].integer(0, INDEX_MAX) + 1, _used(each))
            for each in (active.get(False), active.get(True))
            if each is not None
        ]

    def fill(self, wanted: Mapping[str, object], failures: list[ChainError]) -> None:
        """Import a descriptor and wait for the scan, however long; failures are handed out."""
        patient = self._node._replace(seconds=None)
        try:
            done = call(patient, "importdescriptors", [wanted], wallet=self.name)[0]
            if not done["success"].flag():
                message = done["error"]["message"].text()
                failures.append(ChainError(f"{self._node} does not take the vault: {message}"))
        except ChainError as failure:
            failures.append(failure)
        except ValueError as failure:
            failures.append(not_from_core(self._node, failure))


def _covers(branches: Sequence[_Branch], reach: Iterable[int]) -> bool:
    return len(branches) == 2 and all(
        branch.watched >= least for branch, least in zip(branches, reach, strict=True)
    )


def _confirmations(answer: Field) -> int:
    """Return how deep something lies; below 0 it lies beside the best chain."""
    return answer["confirmations"].integer(-HEIGHT_MAX, HEIGHT_MAX)


def _is(answer: Field, name: str) -> bool:
    """Return a flag that may be left out."""
    found = answer.member(name)
    return found is not None and found.flag()


def _used(descriptor: Field) -> int:
    """Return after how many scripts none was used; a node before version 24 calls it otherwise."""
    found = descriptor.member("next_index") or descriptor.member("next")
    return 0 if found is None else found.integer(0, INDEX_MAX)


def _rejected(failure: RpcError) -> ChainError:
    if failure.rpc_code in REFUSED:
        return TransactionRejected(failure.rpc_message)
    return failure
