"""Bitcoin Core: a watch-only descriptor wallet per vault, asked through its RPC."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

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

CHAINS = {"main": "mainnet", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}
PORTS = {"mainnet": 8332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
SECONDS = 60
POLL_SECONDS = 0.5
AHEAD = 1_000
"""How many scripts a branch Core looks at beyond the last one used, as its own wallets do."""
LOOKED = 100
WALLET_PREFIX = "cardquorum-"

NOT_FOUND = -18
INVALID_ADDRESS_OR_KEY = -5
ALREADY_IN_CHAIN = -27
REFUSED = frozenset({-22, -25, -26})
LOADED_ALREADY = frozenset({-35, -4})
KNOWN_ALREADY = frozenset({"txn-already-in-mempool", "txn-already-known"})
LOADED = "already loaded"


P = ParamSpec("P")
T = TypeVar("T")


def understood(asking: Callable[P, T]) -> Callable[P, T]:
    """Translate what an answer of another shape than Core's leads to."""

    @wraps(asking)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return asking(*args, **kwargs)
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError) as failure:
            what = f"{type(failure).__name__} {failure}"
            raise ChainError(f"the node's answer is not one of Bitcoin Core's: {what}") from failure

    return asked


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
        self._node = Node(url.host, url.port or PORTS[network], credentials, seconds)
        self._folder = folder
        self._network = network
        self._report = report

    @understood
    def tip(self) -> Tip:
        """Return the newest block; raises ChainUnreachable while the node is behind."""
        info = self._ask("getblockchaininfo")
        chain = CHAINS.get(info["chain"], info["chain"])
        if chain != self._network:
            raise ChainError(f"{self._node} is on {chain}, this home is for {self._network}")
        behind = info["headers"] > info["blocks"] or self._network != "regtest"
        if info["initialblockdownload"] and behind:
            raise ChainUnreachable(
                f"{self._node} is still catching up: block {info['blocks']} of {info['headers']}"
            )
        return Tip(info["blocks"], info["bestblockhash"])

    @understood
    def sync(self, watch: Watch) -> ChainUpdate:
        """Return what the vault's wallet saw since the watch's tip.

        A new wallet is filled first, from the vault's birthday on.
        """
        self.tip()
        wallet = _Wallet(self._node, WALLET_PREFIX + watch.descriptor[-8:])
        reach = self._prepared(wallet, watch)
        since, fork = self._start(watch.since)
        listed = wallet.ask("listsinceblock", since, 1, True, True, True)
        tip = Tip(self._ask("getblockheader", listed["lastblock"])["height"], listed["lastblock"])
        return ChainUpdate(tip, fork, tuple(self._seen(wallet, listed["transactions"])), reach)

    @understood
    def feerate(self, blocks: int) -> int:
        """Return Core's estimate in sat/kvB, never below what its mempool takes."""
        if blocks < 1:
            raise ChainError(f"no transaction confirms within {blocks} blocks")
        estimate = self._ask("estimatesmartfee", blocks)
        if "feerate" not in estimate:
            raise NoEstimate(f"{self._node} has no fee estimate for {blocks} blocks")
        floor = self._ask("getmempoolinfo")
        least = max(floor["mempoolminfee"], floor["minrelaytxfee"])
        return _sats(max(estimate["feerate"], least))

    @understood
    def package(self, txid: str) -> Package:
        """Return what a waiting transaction and its waiting ancestors weigh and pay."""
        try:
            entry = self._ask("getmempoolentry", txid)
        except RpcError as failure:
            if failure.rpc_code != INVALID_ADDRESS_OR_KEY:
                raise
            raise ChainError(f"transaction {txid} does not wait for a block") from failure
        return Package(entry["ancestorsize"], _sats(entry["fees"]["ancestor"]))

    @understood
    def broadcast(self, transaction: bytes) -> str:
        """Have the transaction judged, then send it; one already known is no error."""
        self.tip()
        try:
            (verdict,) = self._ask("testmempoolaccept", [transaction.hex()])
        except RpcError as failure:
            raise _rejected(failure) from failure
        reason = verdict.get("reject-details") or verdict.get("reject-reason")
        if verdict.get("allowed") is not True and verdict.get("reject-reason") not in KNOWN_ALREADY:
            raise TransactionRejected(str(reason))
        try:
            return str(self._ask("sendrawtransaction", transaction.hex()))
        except RpcError as failure:
            if failure.rpc_code == ALREADY_IN_CHAIN:
                return str(verdict["txid"])
            raise _rejected(failure) from failure

    def close(self) -> None:
        """Do nothing: no connection outlives its call."""

    def _ask(self, method: str, *params: object) -> Any:  # noqa: ANN401 -- any JSON
        return call(self._node, method, *params)

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
        if header["confirmations"] >= 0:
            return since.hash, None
        while header["confirmations"] < 0:
            header = self._ask("getblockheader", header["previousblockhash"])
        return header["hash"], header["height"]

    def _seen(
        self, wallet: "_Wallet", listed: Sequence[Mapping[str, Any]]
    ) -> Iterator[SeenTransaction]:
        """Yield the transactions listed that are in a block or in the mempool."""
        confirmed = {each["txid"]: each for each in listed if each["confirmations"] > 0}
        resting = {each["txid"] for each in listed if each["confirmations"] == 0}
        waiting = [txid for txid in sorted(resting - confirmed.keys()) if self._waits(txid)]
        txids = [*sorted(confirmed, key=lambda txid: _place(confirmed[txid])), *waiting]
        for txid, known in zip(txids, wallet.transactions(txids), strict=True):
            raw = bytes.fromhex(known["hex"])
            if known["confirmations"] > 0:
                place = known["blockheight"], known["blockhash"], known["blocktime"]
                yield SeenTransaction(txid, raw, *place)
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
            begun = self._ask("getblockhash", birthday.height)
        except RpcError as failure:
            raise ChainError(
                f"the vault's birthday, block {birthday.height}, is not on the chain yet"
            ) from failure
        return int(self._ask("getblockheader", begun)["time"])

    def _wait_for_scan(self, wallet: "_Wallet") -> None:
        """Wait until a scan that an earlier run began has ended."""
        while self._tell_progress(wallet):
            threading.Event().wait(POLL_SECONDS)
        self._report("")

    def _tell_progress(self, wallet: "_Wallet") -> bool:
        """Report how far a scan is; False where none is going on."""
        scanning = wallet.ask("getwalletinfo")["scanning"]
        if not scanning:
            return False
        share = scanning["progress"] * 100
        self._report(f"{self._node} looks through the blocks: {share:.0f} %")
        return True


class _Branch(NamedTuple):
    """How many scripts of a branch the wallet watches, and after how many none was used."""

    watched: int
    used: int


class _Wallet:
    """A node's watch-only wallet of one vault."""

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self.name = name

    def ask(self, method: str, *params: object) -> Any:  # noqa: ANN401 -- any JSON
        return call(self._node, method, *params, wallet=self.name)

    def transactions(self, txids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for answer in calls(
            self._node, [("gettransaction", (txid, True)) for txid in txids], wallet=self.name
        ):
            if isinstance(answer, RpcError):
                raise answer
            yield answer

    def open(self) -> None:
        """Load the wallet where it is not loaded; make it where there is none."""
        if self.name in call(self._node, "listwallets"):
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
        listed = self.ask("listdescriptors")["descriptors"]
        active = {bool(each.get("internal")): each for each in listed if each.get("active")}
        return [
            _Branch(each["range"][1] + 1, each.get("next_index", each.get("next", 0)))
            for each in (active.get(False), active.get(True))
            if each is not None
        ]

    def fill(self, wanted: Mapping[str, object], failures: list[ChainError]) -> None:
        """Import a descriptor and wait for the scan, however long; failures are handed out."""
        patient = self._node._replace(seconds=None)
        try:
            (done,) = call(patient, "importdescriptors", [wanted], wallet=self.name)
        except ChainError as failure:
            failures.append(failure)
            return
        if not done["success"]:
            message = done["error"]["message"]
            failures.append(ChainError(f"{self._node} does not take the vault: {message}"))


def _covers(branches: Sequence[_Branch], reach: Iterable[int]) -> bool:
    return len(branches) == 2 and all(
        branch.watched >= least for branch, least in zip(branches, reach, strict=True)
    )


def _place(listed: Mapping[str, Any]) -> tuple[int, int]:
    return listed["blockheight"], listed["blockindex"]


def _sats(btc: Decimal | int) -> int:
    """Return satoshis for bitcoins, rounded up."""
    return int((Decimal(btc) * 100_000_000).to_integral_value(ROUND_CEILING))


def _rejected(failure: RpcError) -> ChainError:
    if failure.rpc_code in REFUSED:
        return TransactionRejected(failure.rpc_message)
    return failure
