"""Esplora servers, asked through BDK's client."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import bdkpython as bdk

from coordinator.chain import Package, Relay, Tip
from coordinator.chain.bdk.client import GAP, NETWORKS, Scan, check_genesis, rate
from coordinator.chain.bdk.conversions import is_known, rejection
from coordinator.chain.bdk.electrum import Scripts
from coordinator.chain.bdk.histories import Block, Placed
from coordinator.chain.bdk.local_proxy import Bridge
from coordinator.chain.url import ESPLORA, ChainUrl
from coordinator.errors import ChainError, ChainUnreachable, NoEstimate, TransactionRejected
from psbt.relay import CORE_30
from psbt.weight import vsize_of

AT_ONCE = 4
SECONDS = 60.0
REFUSED = 400
PAGE = 25
"""So many confirmed transactions a page holds."""
HISTORY_MAX = 100_000
ANCESTORS_MAX = 1_000
"""Bitcoin Core holds 25 together, 64 since version 31; a node may be set to more."""


class EsploraServer:
    """An Esplora server, asked over HTTP."""

    def __init__(self, url: ChainUrl, network: str, report: Callable[[str], None]) -> None:
        """Keep where the server is."""
        self.gap = url.number("gap", GAP)
        self.ahead, self.sees_waiting = 0, True
        self._url = url
        self._network = network
        self._report = report
        self._bridge: Bridge | None = None
        self._where = f"Esplora server {url.host}"

    def tip(self) -> Tip:
        """Return the newest block."""
        with self._asking():
            height = self._client.get_height()
            return Tip(height, str(self._client.get_block_hash(height)))

    def update(self, scan: Scan) -> bdk.Update:
        """Return what the wallet has to learn; an Esplora server is believed in that."""
        with self._asking():
            if not scan.full:
                request = scan.wallet.start_sync_with_revealed_spks().build()
                return self._client.sync(request, AT_ONCE)
            progress = Scripts(self._where, self._report, self._cut)
            asked = scan.wallet.start_full_scan().inspect_spks_for_all_keychains(progress)
            found = self._client.full_scan(asked.build(), self.gap, AT_ONCE)
            self._report("")
            return found

    def histories(self, scripts: Sequence[bytes]) -> Iterator[Placed]:
        """Yield what the server knows of these scripts."""
        with self._asking(), ThreadPoolExecutor(AT_ONCE) as pool:
            client = self._client
            for told in pool.map(lambda script: self._history(client, script), scripts):
                yield from told

    def _history(self, client: bdk.EsploraClient, script: bytes) -> list[Placed]:
        """Return what the server knows of a script, page by page."""
        address = bdk.Address.from_script(bdk.Script(script), NETWORKS[self._network])
        found: list[Placed] = []
        last: bdk.Txid | None = None
        while len(found) <= HISTORY_MAX:
            page = client.get_address_txs(address, last)
            found += [Placed(str(each.txid), each.status.block_height) for each in page]
            placed = [each.txid for each in page if each.status.confirmed]
            if len(placed) < PAGE:
                return found
            last = placed[-1]
        raise ChainError(f"{self._where} tells of more than {HISTORY_MAX:,} payments to an address")

    def prove(self, placed: Placed) -> None:
        """Do nothing: an Esplora server is believed."""

    def raw_transaction(self, txid: str) -> bytes:
        """Return a transaction as the server gives it."""
        with self._asking():
            found = self._client.get_tx(bdk.Txid.from_string(txid))
        if found is None:
            raise ChainError(f"{self._where} has no transaction {txid} that it tells of")
        return found.serialize()

    def block(self, height: int) -> Block:
        """Return the block at a height."""
        with self._asking():
            name = self._client.get_block_hash(height)
            return Block(str(name), self._client.get_header_by_hash(name).time)

    def feerate(self, blocks: int) -> int:
        """Return the server's estimate for the next target it knows that is no later."""
        with self._asking():
            estimates = self._client.get_fee_estimates()
        sooner = [target for target in estimates if target <= blocks]
        if not sooner:
            raise NoEstimate(f"{self._where} has no fee estimate for {blocks} blocks")
        return rate(estimates[max(sooner)], 1_000, self._where, least=CORE_30.minimum)

    def relay(self) -> Relay:
        """Return what most nodes relay: an Esplora server does not tell."""
        return Relay()

    def broadcast(self, transaction: bdk.Transaction) -> None:
        """Send a transaction."""
        try:
            with self._asking():
                self._client.broadcast(transaction)
        except TransactionRejected as failure:
            if not is_known(failure.reason):
                raise

    def synced(self, tip: Tip) -> None:
        """Do nothing: the server is asked."""

    def sent(self) -> list[bdk.Transaction]:
        """Return nothing: the server tells what waits."""
        return []

    def close(self) -> None:
        """Let go of the connection, and of the way through a proxy."""
        self.__dict__.pop("_client", None)
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None

    def package(self, txid: str) -> Package:
        """Return what a transaction and its waiting ancestors weigh and pay.

        Raises ChainError where they are more than any mempool holds together.
        """
        wanted, found = [txid], dict[str, bdk.Tx]()
        with self._asking():
            while wanted:
                if len(found) > ANCESTORS_MAX:
                    raise ChainError(
                        f"{self._where} names more than {ANCESTORS_MAX} waiting ancestors of {txid}"
                    )
                name = bdk.Txid.from_string(wanted.pop())
                told, whole = self._client.get_tx_info(name), self._client.get_tx(name)
                if told is None or whole is None or told.status.confirmed:
                    continue
                found[str(name)] = told
                parents = {str(source.previous_output.txid) for source in whole.input()}
                wanted += sorted(parents - found.keys())
        if txid not in found:
            raise ChainError(f"transaction {txid} does not wait for a block")
        weights = [each.weight for each in found.values()]
        return Package(sum(map(vsize_of, weights)), sum(each.fee for each in found.values()))

    @cached_property
    def _client(self) -> bdk.EsploraClient:
        scheme = "https" if self._url.scheme == ESPLORA else "http"
        if self._bridge is None:
            self._bridge = Bridge(self._url.proxy, SECONDS)
        client = bdk.EsploraClient(
            f"{scheme}://{self._url.place}{self._url.path.rstrip('/')}",
            f"http://{self._bridge.place}",
        )
        check_genesis(client.get_block_hash(0), self._network, self._where)
        return client

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Translate what the client raises."""
        try:
            yield
        except (bdk.EsploraError, bdk.InternalError) as failure:
            raise self._translated(failure) from failure

    def _translated(self, failure: Exception) -> ChainError:
        """Return what a failure of the client means; the way to the server knows best."""
        fault = self._bridge.take_fault() if self._bridge else None
        if fault is not None:
            return ChainUnreachable(f"{self._where} {fault}")
        if isinstance(failure, bdk.EsploraError.HttpResponse):
            if failure.status == REFUSED:
                return TransactionRejected(rejection(failure.error_message))
            return ChainUnreachable(f"{self._where} answers with HTTP status {failure.status}")
        if isinstance(failure, bdk.InternalError):
            return ChainError(f"{self._where} answers what BDK cannot read: {failure}")
        reason = getattr(failure, "error_message", None) or type(failure).__name__
        return ChainUnreachable(f"{self._where} gives no proper answer: {reason}")

    def _cut(self, fault: str) -> None:
        if self._bridge is not None:
            self._bridge.cut(fault)
