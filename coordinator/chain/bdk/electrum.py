"""Electrum servers, asked through BDK's client."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from hashlib import sha256

import bdkpython as bdk

from coordinator.chain import Package, Relay, Tip
from coordinator.chain.bdk.client import GAP, Scan, check_genesis, rate
from coordinator.chain.bdk.conversions import header_hash, is_known, rejection
from coordinator.chain.bdk.electrum_lines import HISTORY_MAX, ElectrumLines, proven_root
from coordinator.chain.bdk.histories import Block, Placed
from coordinator.chain.bdk.local_proxy import Bridge
from coordinator.chain.url import ELECTRUM_SSL, ChainUrl
from coordinator.errors import ChainError, ChainUnreachable, NoEstimate, TransactionRejected
from coordinator.foreign_json import HEIGHT_MAX, SATS_PER_BTC, Field
from psbt.relay import CORE_30

BATCH = 100
SECONDS = 30
RETRIES = 1
SCRIPTS_MAX = 100_000


class ElectrumServer:
    """A connection to an Electrum server, made when it is first needed."""

    def __init__(self, url: ChainUrl, network: str, report: Callable[[str], None]) -> None:
        """Keep where the server is."""
        self.gap = url.number("gap", GAP)
        self.ahead, self.sees_waiting = 0, True
        self._url = url
        self._network = network
        self._report = report
        self._bridge: Bridge | None = None
        self._lines: ElectrumLines | None = None
        self._where = f"Electrum server {url.host}:{url.port}"

    def tip(self) -> Tip:
        """Return the newest block."""
        with self._asking():
            newest = self._client.block_headers_subscribe()
        return Tip(newest.height, header_hash(newest.header))

    def update(self, scan: Scan) -> bdk.Update:
        """Return what the wallet has to learn; merkle proofs are checked by BDK."""
        with self._asking():
            if not scan.full:
                request = scan.wallet.start_sync_with_revealed_spks().build()
                return self._client.sync(request, BATCH, fetch_prev_txouts=False)
            progress = Scripts(self._where, self._report, self._cut)
            asked = scan.wallet.start_full_scan().inspect_spks_for_all_keychains(progress)
            found = self._client.full_scan(asked.build(), self.gap, BATCH, fetch_prev_txouts=False)
            self._report("")
            return found

    def histories(self, scripts: Sequence[bytes]) -> Iterator[Placed]:
        """Yield what the server knows of these scripts."""
        names = [[sha256(each).digest()[::-1].hex()] for each in scripts]
        for start in range(0, len(names), BATCH):
            for told in self._asked("blockchain.scripthash.get_history", names[start:][:BATCH]):
                for each in told.items(HISTORY_MAX):
                    height = each["height"].integer(-1, HEIGHT_MAX)
                    yield Placed(each["tx_hash"].hash(), height if height > 0 else None)
            self._report(f"{self._where}: {start} addresses looked at" if start else "")
        self._report("")

    def prove(self, placed: Placed) -> None:
        """Raise ChainError where no Merkle proof leads from the transaction to its block."""
        with self._asking():
            header = self._client.block_header(placed.height or 0)
        method = "blockchain.transaction.get_merkle"
        (proof,) = self._asked(method, [[placed.txid, placed.height]])
        if proven_root(placed.txid, proof)[::-1].hex() != str(header.merkle_root):
            raise ChainError(
                f"{self._where} proves not that transaction {placed.txid} is in block"
                f" {placed.height}"
            )

    def raw_transaction(self, txid: str) -> bytes:
        """Return a transaction as the server gives it."""
        with self._asking():
            return self._client.transaction_get_raw(bdk.Txid.from_string(txid))

    def block(self, height: int) -> Block:
        """Return the block at a height."""
        with self._asking():
            header = self._client.block_header(height)
        return Block(header_hash(header), header.time)

    def feerate(self, blocks: int) -> int:
        """Return the server's estimate, never below what nodes relay."""
        with self._asking():
            estimate = self._client.estimate_fee(blocks)
        if estimate <= 0:
            raise NoEstimate(f"{self._where} has no fee estimate for {blocks} blocks")
        return rate(estimate, SATS_PER_BTC, self._where, least=CORE_30.minimum)

    def relay(self) -> Relay:
        """Return what the server's node relays; a replacement's step no server tells.

        Since version 1.6 of the protocol servers need not answer at all.
        """
        with self._asking():
            try:
                told = self._client.relay_fee()
            except bdk.ElectrumError.Protocol:
                return Relay()
        least = rate(told, SATS_PER_BTC, self._where) if told > 0 else CORE_30.minimum
        return Relay(CORE_30._replace(minimum=least))

    def broadcast(self, transaction: bdk.Transaction) -> None:
        """Send a transaction."""
        with self._asking():
            try:
                self._client.transaction_broadcast(transaction)
            except bdk.ElectrumError.Protocol as failure:
                reason = rejection(failure.error_message)
                if not is_known(reason):
                    raise TransactionRejected(reason) from failure

    def synced(self, tip: Tip) -> None:
        """Do nothing: the server is asked."""

    def sent(self) -> list[bdk.Transaction]:
        """Return nothing: the server tells what waits."""
        return []

    def close(self) -> None:
        """Let go of the connection."""
        self.__dict__.pop("_client", None)
        if self._lines is not None:
            self._lines.close()
            self._lines = None
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None

    def package(self, txid: str) -> Package:
        """Return what a transaction weighs and pays.

        Electrum does not tell which of its parents wait too: they are taken for confirmed.
        """
        transaction = self._fetched(txid)
        spent = [source.previous_output for source in transaction.input()]
        parents = {name: self._fetched(name) for name in {str(each.txid) for each in spent}}
        try:
            brought = sum(parents[str(p.txid)].output()[p.vout].value.to_sat() for p in spent)
        except IndexError as failure:
            raise ChainError(f"transaction {txid} spends an output that is not there") from failure
        paid = sum(output.value.to_sat() for output in transaction.output())
        return Package(transaction.vsize(), brought - paid)

    def _asked(self, method: str, parameters: Sequence[Sequence[object]]) -> list[Field]:
        """Return the answers that BDK's client cannot ask for.

        A connection that broke since it was last used is made anew, once.
        """
        try:
            if self._lines is not None:
                with suppress(OSError):
                    return self._lines.ask(method, parameters)
                self._lines.close()
            with self._asking():  # BDK's client looks whether the server is of the home's network
                self._client.ping()
            if self._bridge is None:
                raise ConnectionError("the connection ended")
            seconds = self._url.number("timeout", SECONDS)
            self._lines = ElectrumLines(self._url, self._bridge.address, seconds)
            return self._lines.ask(method, parameters)
        except OSError as failure:
            fault = self._bridge.take_fault() if self._bridge else None
            self.close()
            told = fault or f"gives no proper answer: {failure.strerror or failure}"
            raise ChainUnreachable(f"{self._where} {told}") from failure
        except ValueError as failure:
            self.close()
            raise ChainError(f"{self._where}: {failure}") from failure

    def _fetched(self, txid: str) -> bdk.Transaction:
        """Return a transaction; raises ChainError where the server gives another one."""
        with self._asking():
            found = self._client.fetch_tx(bdk.Txid.from_string(txid))
        if str(found.compute_txid()) != txid:
            raise ChainError(f"{self._where} gives {found.compute_txid()} for {txid}")
        return found

    @cached_property
    def _client(self) -> bdk.ElectrumClient:
        scheme = "ssl" if self._url.scheme == ELECTRUM_SSL else "tcp"
        self._bridge = Bridge(self._url.proxy)
        client = bdk.ElectrumClient(
            f"{scheme}://{self._url.place}",
            self._bridge.place,
            self._url.number("timeout", SECONDS),
            RETRIES,
            self._url.options.get("verify") != "no",
        )
        check_genesis(client.server_features().genesis_hash, self._network, self._where)
        return client

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Translate what the client raises; a broken connection is made anew next time."""
        try:
            yield
        except (bdk.ElectrumError, bdk.InternalError) as failure:
            raise self._translated(failure) from failure

    def _translated(self, failure: Exception) -> ChainError:
        """Return what a failure of the client means; the way to the server knows best."""
        fault = self._bridge.take_fault() if self._bridge else None
        if fault is not None:
            self.close()
            return ChainUnreachable(f"{self._where} {fault}")
        if isinstance(failure, bdk.ElectrumError.Protocol):
            return ChainError(f"{self._where} refuses: {rejection(failure.error_message)}")
        if isinstance(failure, bdk.InternalError):
            return ChainError(f"{self._where} answers what BDK cannot read: {failure}")
        self.close()
        reason = getattr(failure, "error_message", None) or type(failure).__name__
        return ChainUnreachable(f"{self._where} gives no proper answer: {reason}")

    def _cut(self, fault: str) -> None:
        if self._bridge is not None:
            self._bridge.cut(fault)


class Scripts(bdk.FullScanScriptInspector):
    """Counts the scripts a full scan looked at."""

    def __init__(
        self, where: str, report: Callable[[str], None], cut: Callable[[str], None]
    ) -> None:
        """Begin at none; a scan without end is cut off."""
        self._cut = cut
        self._where = where
        self._report = report
        self._count = 0

    def inspect(self, keychain: bdk.KeychainKind, index: int, script: bdk.Script) -> None:  # noqa: ARG002 -- BDK's shape
        """Take note of one more script."""
        self._count += 1
        if self._count > SCRIPTS_MAX:
            self._cut(f"says that {SCRIPTS_MAX:,} addresses were used, one after the other")
        if self._count % BATCH == 0:
            self._report(f"{self._where}: {self._count} addresses looked at")
