"""Bitcoin Core: a watch-only descriptor wallet per vault, asked through its RPC."""

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from math import ceil
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from coordinator.chain import ChainUpdate, Package, Relay, Report, SeenTransaction, Tip, Watch
from coordinator.chain.core.rpc import Node, RpcError, call
from coordinator.chain.core.wallet import CHAINS, NAME_SIZE_MAX, CoreWallet, VaultWallet
from coordinator.chain.url import ChainUrl
from coordinator.errors import (
    ChainError,
    ChainUnreachable,
    NoEstimate,
    TransactionRejected,
)
from coordinator.foreign_json import HEIGHT_MAX, Field
from psbt.relay import CORE_30, RelayRules

PORTS = {"mainnet": 8332, "testnet4": 48332, "signet": 38332, "regtest": 18443}
SECONDS = 60
LISTED_MAX = 1_000_000
REORGANISED_MAX = 10_000
"""How many blocks beside the best chain are followed back before all is asked anew."""
PACKAGE_SIZE_MAX = 100_000_000
TRANSACTION_SIZE_MAX = 4_000_000

INVALID_ADDRESS_OR_KEY = -5
ALREADY_IN_CHAIN = -27
REFUSED = frozenset({-22, -25, -26})
# The last is the same payment with other signatures: it has the same name.
KNOWN_ALREADY = frozenset(
    {"txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool"}
)


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
            told = f"the answer of {chain.node} is not one of Bitcoin Core's: {failure}"
            raise ChainError(told) from failure

    return asked


class CoreChain:
    """A node of one's own. What is scanned already is noted in the folder."""

    def __init__(self, url: ChainUrl, folder: Path, network: str, *, report: Report) -> None:
        """Keep where the node is; nothing is asked yet."""
        seconds = url.number("timeout", SECONDS)
        self.node = Node(url.host, url.port or PORTS[network], url.credentials(), seconds)
        self._folder = folder
        self._network = network
        self._report = report

    @understood
    def tip(self) -> Tip:
        """Return the newest block; raises ChainUnreachable while the node is behind."""
        info = self._ask("getblockchaininfo")
        named = info["chain"].text(NAME_SIZE_MAX)
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

        Where old blocks were not looked through, that is done first, from its birthday on.
        """
        vault = VaultWallet(self.node, self._folder, self._network, report=self._report)
        if watch.since is not None and (quiet := vault.standing(watch)) is not None:
            return ChainUpdate(watch.since, None, (), quiet.reach, quiet.scanned)
        self.tip()
        vault = VaultWallet(self.node, self._folder, self._network, report=self._report)
        prepared = vault.prepare(watch)
        wallet = prepared.wallet
        since, fork = self._start(watch.since)
        if prepared.anew:
            since = ""
        listed = wallet.ask("listsinceblock", since, 1, True, True, True)
        last = listed["lastblock"].hash()
        tip = Tip(self._ask("getblockheader", last)["height"].height(), last)
        seen = tuple(self._seen(wallet, listed["transactions"].items(LISTED_MAX)))
        return ChainUpdate(tip, fork, seen, prepared.reach, prepared.scanned, prepared.notes)

    @understood
    def feerate(self, blocks: int) -> int:
        """Return Core's estimate in sat/kvB, never below what its mempool takes."""
        if blocks < 1:
            raise ChainError(f"no transaction confirms within {blocks} blocks")
        self.tip()
        estimate = self._ask("estimatesmartfee", blocks).member("feerate")
        if estimate is None:
            raise NoEstimate(f"{self.node} has no fee estimate for {blocks} blocks")
        return max(estimate.feerate(), self._rules().minimum)

    @understood
    def relay(self) -> Relay:
        """Return what the node itself relays, and the median time of its newest block."""
        self.tip()
        info = self._ask("getblockchaininfo")
        return Relay(self._rules(), info["mediantime"].moment())

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

    def _rules(self) -> RelayRules:
        """Return what the node's mempool takes; of what it does not tell, what Core 30 does."""
        told = self._ask("getmempoolinfo")
        least = max(told["mempoolminfee"].feerate(), told["minrelaytxfee"].feerate())
        step, data = told.member("incrementalrelayfee"), told.member("maxdatacarriersize")
        multisig, count = told.member("permitbaremultisig"), told.member("limitclustercount")
        size = told.member("limitclustersize")
        return RelayRules(
            minimum=least,
            replacement_step=step.feerate() if step else CORE_30.replacement_step,
            datacarrier_size=data.integer(0, PACKAGE_SIZE_MAX)
            if data
            else CORE_30.datacarrier_size,
            bare_multisig=multisig.flag() if multisig else CORE_30.bare_multisig,
            package_count=count.integer(1, PACKAGE_SIZE_MAX) if count else CORE_30.package_count,
            package_vsize=size.integer(1, PACKAGE_SIZE_MAX) if size else CORE_30.package_vsize,
        )

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

    def _seen(self, wallet: CoreWallet, listed: Iterable[Field]) -> Iterator[SeenTransaction]:
        """Yield the transactions listed that are in a block or in the mempool."""
        confirmed, resting = dict[str, tuple[int, int]](), set[str]()
        for entry in listed:
            txid, depth = entry["txid"].hash(), _confirmations(entry)
            if depth > 0:
                index = entry["blockindex"].integer(0, HEIGHT_MAX)
                confirmed[txid] = entry["blockheight"].height(), index
            elif depth == 0:
                resting.add(txid)
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


def _confirmations(answer: Field) -> int:
    """Return how deep something lies; below 0 it lies beside the best chain."""
    return answer["confirmations"].integer(-HEIGHT_MAX, HEIGHT_MAX)


def _rejected(failure: RpcError) -> ChainError:
    if failure.rpc_code in REFUSED:
        return TransactionRejected(failure.rpc_message)
    return failure
